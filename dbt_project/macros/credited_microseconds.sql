{#
    Time credited to one event of int_learning_gaps: the gap to the next event under the vars
    "long_gap_rule", "tail_seconds" and "long_video_option". Never more than the gap.
#}
{% macro credited_microseconds() -%}
    {%- set timeout = var('session_timeout_seconds') | int * 1000000 -%}
    case
        when gap_microseconds <= {{ timeout }} then gap_microseconds
        {%- if var('long_video_option') %}
        when video_microseconds between 1 and {{ longest_video_seconds() | int * 1000000 }}
            then least(video_microseconds, gap_microseconds)
        {%- endif %}
        {%- if var('long_gap_rule') == 'cap' %}
        when gap_microseconds > {{ timeout }} then {{ timeout }}
        {%- endif %}
        else {{ var('tail_seconds') | int * 1000000 }}
    end
{%- endmacro %}

{# Maximum seconds credited to one event. #}
{% macro longest_credit_seconds() -%}
    {%- set video = longest_video_seconds() | int if var('long_video_option') else 0 -%}
    {{ [var('session_timeout_seconds') | int, video] | max }}
{%- endmacro %}
