{# NUMBER of seconds by which a number may differ from the sent one and still hold. #}
{% macro drift_tolerance(sent_seconds) -%}
    greatest(
        {{ var('drift_tolerance_seconds') }}, {{ var('drift_tolerance_share') }} * {{ sent_seconds }}
    )::number(38, 3)
{%- endmacro %}
