{#
    How far a video was played, for the var "long_video_option". Players write positions and speed
    as numbers or as text; anything else is invalid, and the gap rule applies to the pair of events.
#}

{# No video is longer; a position beyond this is invalid. #}
{% macro longest_video_seconds() -%}
    36000
{%- endmacro %}

{# Whole microseconds of a position in seconds; NULL when it is missing, invalid or too large. #}
{% macro video_position(text) -%}
    case
        when
            regexp_like({{ text }}, '[0-9]{1,5}([.][0-9]+)?')
            and try_cast({{ text }} as number(18, 6)) <= {{ longest_video_seconds() }}
            then round(try_cast({{ text }} as number(18, 6)) * 1000000)::number(38, 0)
    end
{%- endmacro %}

{# Speed in thousandths; 1000 when the player wrote none, NULL when it is invalid. #}
{% macro video_speed(text) -%}
    case
        when coalesce({{ text }}, '') = '' then 1000
        when
            regexp_like({{ text }}, '[0-9]([.][0-9]+)?')
            and try_cast({{ text }} as number(18, 6)) between 0.25 and 4
            then round(try_cast({{ text }} as number(18, 6)) * 1000)::number(38, 0)
    end
{%- endmacro %}
