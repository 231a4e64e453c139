/**
 * Every private reason for a no. Rich here, poor outside: only `problem/` words what a client sees.
 * Evidence may name policies, capabilities, header names and limits; never a header value, a token, a body or a secret.
 */
export type Denial =
  // authenticate (RFC 6750 §3.1 invalid_token; all of them look alike outside)
  | { readonly kind: 'token_missing' }
  | { readonly kind: 'token_ambiguous'; readonly places: readonly string[] }
  | { readonly kind: 'token_malformed'; readonly why: string }
  | {
      readonly kind: 'token_untrusted';
      readonly why: 'unknown_kid' | 'bad_signature' | 'bad_algorithm' | 'critical_header';
    }
  | { readonly kind: 'token_wrong_type' }
  | { readonly kind: 'token_wrong_issuer' }
  | { readonly kind: 'token_wrong_audience' }
  | { readonly kind: 'token_expired' }
  | { readonly kind: 'token_not_yet_valid' }
  | { readonly kind: 'token_lifetime_exceeded' }
  | { readonly kind: 'token_revoked'; readonly by: 'token' | 'session' | 'agent' }
  // authorize
  | { readonly kind: 'service_unknown'; readonly service: string }
  | { readonly kind: 'method_refused'; readonly method: string }
  | { readonly kind: 'path_refused'; readonly why: PathRefusal }
  | { readonly kind: 'header_refused'; readonly header: string; readonly why: string }
  | { readonly kind: 'query_refused'; readonly why: string }
  | { readonly kind: 'operation_unknown' }
  | { readonly kind: 'capability_missing'; readonly wouldAllow: readonly string[] }
  | { readonly kind: 'rule_denied'; readonly capability: string }
  | {
      readonly kind: 'condition_unmet';
      readonly capability: string;
      readonly condition: string;
      /** Other capabilities that the token holds, each as `<name> only when: <condition>`; absent when there are none. */
      readonly others?: readonly string[];
    }
  | {
      readonly kind: 'condition_unevaluable';
      readonly capability: string;
      readonly condition: string;
      readonly why: string;
    }
  | { readonly kind: 'body_refused'; readonly why: BodyRefusal }
  // hold
  | { readonly kind: 'approval_pending'; readonly capability: string; readonly approval: string }
  | { readonly kind: 'approval_denied'; readonly capability: string; readonly approval: string }
  | { readonly kind: 'approval_expired'; readonly capability: string; readonly approval: string }
  | {
      readonly kind: 'approval_flood';
      readonly capability: string;
      readonly bound: 'pending' | 'hourly' | 'desk';
      readonly most: number;
      readonly retryAfterSeconds: number;
    }
  // admit
  | { readonly kind: 'approval_used'; readonly approval: string }
  | { readonly kind: 'approval_revoked'; readonly approval: string; readonly by: 'token' | 'session' | 'agent' }
  | {
      readonly kind: 'rate_limited';
      /** The capability's full name, or `agent`. */
      readonly limit: string;
      /** Whole seconds until one more call is admitted, at least 1. */
      readonly retryAfterSeconds: number;
    };

export type PathRefusal =
  | 'empty'
  | 'too_long'
  | 'segment_too_long'
  | 'too_many_segments'
  | 'empty_segment'
  | 'dot_segment'
  | 'encoded_separator'
  | 'double_encoding'
  | 'bad_escape'
  | 'control_character'
  | 'not_utf8'
  | 'non_ascii'
  | 'backslash'
  | 'path_parameter'
  | 'illegal_character';

export type BodyRefusal =
  | 'too_large'
  | 'incomplete'
  | 'content_type_missing'
  | 'content_type_unsupported'
  | 'content_type_ambiguous'
  | 'charset_unsupported'
  | 'content_coding'
  | 'not_utf8'
  | 'byte_order_mark'
  | 'malformed'
  | 'duplicate_key'
  | 'too_deep'
  | 'number_not_finite'
  | 'control_character'
  | 'semicolon_separator'
  | 'method_override'
  | 'too_many_fields'
  | 'name_too_long';
