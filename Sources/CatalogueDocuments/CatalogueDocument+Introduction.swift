// SPDX-License-Identifier: Apache-2.0

extension CatalogueDocument {
    /// The part of the manual that applies to every event. Its text is maintained here and appears in Docs/events.md.
    static let introduction = """
        <!-- Written by `conductor events --markdown`: change CatalogueDocument+Introduction.swift or a catalogue. -->

        # Events

        An operation has up to two notifications: its start, from the control plane that receives the request, and its outcome, from
        the party that does the work.

        | phase | event type | priority | queue |
        |---|---|---|---|
        | start | `<service>.<operation>.start` | INFO | `<topic>.info` |
        | end | `<service>.<operation>.end` | INFO | `<topic>.info` |
        | error | `<service>.<operation>.error` | ERROR | `<topic>.error` |

        `<topic>` is the setting `messaging.topic`, by default `notification`. Trove's service is `dbaas`; its names and fields
        are those of its ceilometer-integration specification, appendix 1.10. Real Trove's own code sends errors to the info
        queue; the relay publishes them where the specification requires.

        The control plane publishes the start event, and also the notifications of status and quotas at the end of this
        page. A guest reports outcomes only.

        The catalogues below are closed: an operation that is in none of them is rejected (`unknown_event`). An operation's
        heading is its name in a context. Files can add other services' catalogues, and each event can be switched on and
        off ([operations.md](operations.md)).

        ## Payload

        First come the base fields: `tenant_id`, `user_id` (when known), `client_ip`, `server_ip`, `server_type` and
        `request_id`, or those of them that the catalogue requires. `server_type` and `server_ip` are the publisher's own. In a
        guest's report they are `conductor` and the conductor's address as the guest reached it; a guest cannot choose them. A
        control plane has `api` or `task` and its own address.

        Then come the fields that the event declares, taken from the outcome's payload or else from the context's
        payload; null in one does not hide a value in the other. A required field that is missing, or a value of the wrong type, is rejected with an error that names the field. A field that is not
        declared is left out; the conductor counts such fields, and names them in its log at level `debug`.

        Last come the operation's identifiers, if known: those fields of its start that identify its subject,
        such as `instance_id` or `dbname`. They are included ("if known" in the tables) so that an end or an error can be
        understood without its start.

        An error has `message`, the error's text, and `exception`, a list of text: the trace, and last a line with the error's
        type and text. The specification requires `instance_id` in `instance_create.error` too. Here it is optional, since a
        creation that fails before there is an instance must be reported too; the guest includes it when it knows it.

        | type | what a field may hold |
        |---|---|
        | text | a string; a number within the range of a double is accepted too |
        | integer, number | a number, or its digits as a string |
        | boolean | true or false |
        | texts | a list of strings, or one string |
        | timestamp | a time as defined by [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339), as a string such as `2015-06-28T05:54:52Z`; without an offset it is UTC. It is published unchanged, unless it has an offset, more than six digits after the second, lower-case letters or a leap second: then it is converted to UTC, with microseconds if it has a fraction |
        | any | any value except an object with a member `__type__` (oslo.messaging's transport would convert it), a number beyond the range of a double, or a NUL in a member's name |

        A NUL in a text is published as U+FFFD: databases and other readers do not accept NULs.

        An optional field may be null. "or null" marks a field that must be present and may be null.

        "own instance" and "own tenant" mark fields in which a guest can name only itself: a conductor rejects a report with another
        instance in such a field than the one that the guest's certificate names, and fills in the field where the report
        leaves it out or null. The same applies to the tenant, which is the context's, and the certificate's where that names one
        ([security.md](security.md)). A name that comes as a number is published as text. A control plane may use any name.

        Where contexts are signed, a signed value is binding: an outcome with another value is rejected.
        "changes" marks a field whose value the operation may change, so that a guest may report a new one.

        Real Trove spells some names differently from its specification: `flavor_id` for `flavor`, `dbaas.quota` for
        `dbaas.quotas`. A field is accepted under either name; under Trove's it is published under both. An event type is
        published as it was requested.

        Some calls name several things at once: `databases.create` takes a list of databases. Each of them is an operation of
        its own, with a start and an outcome of its own: "one operation for each value". A control plane makes them with
        `startEach` or `conductor notify`.

        An operator can switch events off. An outcome whose event is off is checked like any other, then answered `disabled`
        instead of `published`, counted, and not published; the guest removes it.

        ## The message

        oslo.messaging's message object: `message_id`, `publisher_id` (`conductor.<host>`; a control plane's own, such as
        `api.<host>`), `event_type`, `priority`, `payload`, `timestamp`, `_unique_id`, then the request's context as
        oslo.messaging's notifier publishes it, in its order and with its nulls: `_context_user`, `_context_project_id`,
        `_context_system_scope`, `_context_project`, `_context_domain`, `_context_user_domain`, `_context_project_domain`,
        `_context_is_admin`, `_context_read_only`, `_context_show_deleted`, `_context_auth_token`, `_context_request_id`,
        `_context_global_request_id`, `_context_resource_uuid`, `_context_roles`, `_context_user_identity`,
        `_context_is_admin_project`, and for a Trove context `_context_limit`, `_context_marker`, `_context_service_catalog`.
        Scope, domains, roles, `is_admin` and `global_request_id` come from the context's `request_context`; `auth_token`,
        `service_catalog`, `resource_uuid`, `limit` and `marker` are null, `read_only` and `show_deleted` false and
        `is_admin_project` true, whatever it contains, as in oslo's `redacted_copy()`. **In a guest's outcome whose context was
        not signed, or whose signature the conductor does not check, `_context_is_admin` is false, `_context_roles` empty, and
        `_context_system_scope` and `_context_domain` are null**: only the control plane can grant rights, not a
        guest. An event without an operation has none of these.

        The driver `messaging` sends it unchanged, `messagingv2` in oslo's envelope 2.0. `message_id` stays the same each time a
        notification is sent; `_unique_id` is new for each send, since an oslo consumer never acknowledges a second message with
        one it has seen.

        In RabbitMQ a message has oslo.messaging's properties: `content_type`, `content_encoding`, `delivery_mode` 2,
        `priority` 0. A message from a guest's report has one more header, `x-conductor-guest`: the name in its certificate,
        `TENANT/INSTANCE` or `INSTANCE`. Consumers of oslo.messaging ignore headers.

        """
}
