{# Written by `python -m sync.operations.state_texts` from sync/domain/states.py. #}

{% macro webhook_states() -%}
    {{ return({
        'awaiting': 'awaiting',
        'pending': 'pending',
        'delivered': 'delivered',
        'dead': 'dead',
        'held': 'held',
        'suppressed': 'suppressed',
    }) }}
{%- endmacro %}

{% macro webhook_reasons() -%}
    {{ return({
        'endpoint_row_invalid': 'endpoint_row_invalid',
        'no_active_endpoint': 'no_active_endpoint',
        'eu_fallback_not_allowed': 'eu_fallback_not_allowed',
        'payload_invalid': 'payload_invalid',
        'identity_missing': 'identity_missing',
        'endpoint_missing': 'endpoint_missing',
        'endpoint_inactive': 'endpoint_inactive',
        'endpoint_disabled': 'endpoint_disabled',
        'endpoint_invalid': 'endpoint_invalid',
        'signing_key_missing': 'signing_key_missing',
        'oauth_incomplete': 'oauth_incomplete',
        'invalid_target': 'invalid_target',
        'rerouted': 'rerouted',
        'no_longer_reportable': 'no_longer_reportable',
        'before_activation': 'before_activation',
        'no_endpoint': 'no_endpoint',
        'enrollment_events_off': 'enrollment_events_off',
        'not_asked_for': 'not_asked_for',
        'correction_not_needed': 'correction_not_needed',
        'correction_without_number': 'correction_without_number',
        'filtered': 'filtered',
        'erased': 'erased',
        'receipt': 'receipt',
        'attempts_exhausted': 'attempts_exhausted',
        'endpoint_gone': 'endpoint_gone',
        'final_status': 'final_status',
    }) }}
{%- endmacro %}
