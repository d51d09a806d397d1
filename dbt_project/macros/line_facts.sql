{#
    What may be stored about a line that is not used: how it starts and ends, and which words of
    this list it contains. Nothing that a person typed, because that could identify a learner.
#}
{% macro line_facts(line) -%}
    {%- set words = [
        'event_source', 'event_type', '"name', '"time', 'context', 'user_id', 'username',
        'course_id', 'org_id', 'session', 'agent', 'referer', 'payload', 'problem_id',
        '"log', '"message', '"stream', '@timestamp', 'tracking',
    ] -%}
    case
        when coalesce(trim({{ line }}), '') = '' then 'empty'
        else
            'begins with '
            || case left(trim({{ line }}), 1) when '{' then '{' when '[' then '[' else 'text' end
            || ', ends with '
            || case right(trim({{ line }}), 1) when '}' then '}' when ']' then ']' else 'text' end
            || ':'
            {% for word in words %}
            || iff(contains({{ line }}, '{{ word }}'), ' {{ word | replace('"', '') }}', '')
            {% endfor %}
    end
{%- endmacro %}
