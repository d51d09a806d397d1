{# NUMBER of seconds by which a number may differ from one that was sent, and still holds. #}
{% macro drift_tolerance(sent_seconds) -%}
    greatest(
        {{ var('drift_tolerance_seconds') }}, {{ var('drift_tolerance_share') }} * {{ sent_seconds }}
    )::number(38, 3)
{%- endmacro %}
