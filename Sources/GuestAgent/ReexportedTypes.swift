// SPDX-License-Identifier: Apache-2.0

// The types of other modules that a guest's program uses, so that it imports only this module.
@_exported public import class GuestSpool.MemoryOutbox
@_exported public import struct GuestSpool.OutboxCounts
@_exported public import struct GuestSpool.OutboxError
@_exported public import class GuestSpool.Spool
@_exported public import struct Notifications.ExceptionInfo
@_exported public import protocol Notifications.ExceptionInfoProviding
@_exported public import struct Notifications.FieldError
@_exported public import struct Notifications.JSONError
@_exported public import struct Notifications.JSONNumber
@_exported public import struct Notifications.JSONObject
@_exported public import enum Notifications.JSONValue
@_exported public import struct Notifications.NotificationContext
@_exported public import enum Notifications.OperationOutcome
@_exported public import struct Notifications.Redaction
@_exported public import struct Notifications.RedactionError
