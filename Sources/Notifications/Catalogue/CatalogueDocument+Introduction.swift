// SPDX-License-Identifier: Apache-2.0

extension CatalogueDocument {
    /// The part of the manual that applies to every event. Its text is maintained here and appears in Docs/events.md.
    static let introduction = """
        <!-- Written by `conductor events --markdown`: change CatalogueDocument+Introduction.swift or a catalogue. -->

        # Events

        An operation is told of up to twice: its start by the control plane that was asked for it, and its outcome by whoever
        did the work.

        | phase | event type | priority | queue |
        |---|---|---|---|
        | start | `<service>.<operation>.start` | INFO | `<topic>.info` |
        | end | `<service>.<operation>.end` | INFO | `<topic>.info` |
        | error | `<service>.<operation>.error` | ERROR | `<topic>.error` |

        `<topic>` is `notification` unless `messaging.topic` says otherwise. Trove's service is `dbaas`; its names and fields
        are those of its ceilometer-integration specification, appendix 1.10. Real Trove's own code sends errors to the info
        queue; here they go where the specification has them.

        The start event is the control plane's to publish, as are the notifications of status and quotas at the end of this
        page: a guest reports outcomes only.

        The catalogues below are closed: an operation that none of them has is refused (`unknown_event`). An operation's
        heading is what a context calls it. Files can add other services' catalogues, and each event can be switched on and
        off ([operations.md](operations.md)).

        ## Payload

        First come the base fields: `tenant_id`, `user_id` (when known), `client_ip`, `server_ip`, `server_type` and
        `request_id`, or those of them that the catalogue wants. `server_type` and `server_ip` are the publisher's own: of a
        guest's report `conductor` and the conductor's address as the guest reached it, which a guest cannot choose; a control
        plane says `api` or `task` and its address.

        Then come the fields that the event declares, taken from what the operation said at its end or else from the context's
        payload; null in the one hides no value in the other. A declared field that is required and missing, or of the wrong type, is refused by name. A field that is not
        declared is left out; the conductor counts these, and names them in its log at level `debug`.

        Last come the operation's identifiers as far as they are known: those fields of its start that say what it was about,
        such as `instance_id` or `dbname`. They ride along ("along" in the tables), so that an end or an error can be
        understood without its start.

        An error has `message`, the error's text, and `exception`, a list of text: the trace, and last a line with the error's
        type and text. The specification wants `instance_id` in `instance_create.error` too. Here it is optional, since a
        creation that fails before there is an instance must be told of as well; the guest says it when it knows it.

        | type | what a field may hold |
        |---|---|
        | text | a string; a number is taken too, if a double can hold it |
        | integer, number | a number, or its digits as a string |
        | boolean | true or false |
        | texts | a list of strings, or one string |
        | timestamp | a time as [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339) has it, as a string such as `2015-06-28T05:54:52Z`; without an offset it is UTC. It is published as it came, but one with an offset, more than six digits behind the second, small letters or a leap second in UTC and with microseconds |
        | any | anything but an object with a member `__type__`, of which oslo.messaging's transport would make something else, a number that no double can hold, or a NUL in a member's name |

        A NUL in a text is published as U+FFFD: databases and other readers take none.

        An optional field may be null. "or null" marks a field that must be there and may be null.

        "own instance" and "own tenant" mark what a guest can say of itself only: a conductor refuses a report with another
        instance in such a field than the one that the guest's certificate names, and fills the field in where the report
        leaves it out or null; likewise the tenant, which is the context's, and the certificate's where that names one
        ([security.md](security.md)). Said as a number, a name is published as text. A control plane may say any.

        Where contexts are signed, a value that the control plane has signed stands: an outcome that says another is refused.
        "changes" marks a field whose value the operation may have changed, and a guest may say anew.

        Real Trove spells some names otherwise than its specification: `flavor_id` for `flavor`, `dbaas.quota` for
        `dbaas.quotas`. A field is taken under either name; under Trove's it is published under both. An event type is
        published as it was asked for.

        Some calls name several things at once: `databases.create` takes a list of databases. Each of them is an operation of
        its own, with a start and an outcome of its own: "one operation for each value". A control plane makes them with
        `startEach` or `conductor notify`.

        An operator can switch events off. An outcome whose event is off is checked like any other, then answered `disabled`
        instead of `published`, counted, and not published; the guest forgets it.

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
        `is_admin_project` true, whatever it says: so oslo's `redacted_copy()` has it. **Of a guest's outcome whose context was
        not signed, or whose signature the conductor does not check, `_context_is_admin` is false, `_context_roles` empty, and
        `_context_system_scope` and `_context_domain` are null**: rights are what the control plane says, and not what a guest
        does. An event that stands alone has none of these.

        The driver `messaging` sends it as it is, `messagingv2` in oslo's envelope 2.0. `message_id` stays the same however often a
        notification is sent; `_unique_id` is new for each send, since an oslo consumer never acknowledges a second message with
        one it has seen.

        In RabbitMQ a message has the properties of oslo.messaging's: `content_type`, `content_encoding`, `delivery_mode` 2,
        `priority` 0. What a guest has reported has one header in addition, `x-conductor-guest`: the name in its certificate,
        `TENANT/INSTANCE` or `INSTANCE`. Consumers of oslo.messaging ignore headers.

        """
}
