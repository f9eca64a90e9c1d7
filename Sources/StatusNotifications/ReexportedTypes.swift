// SPDX-License-Identifier: Apache-2.0

// The types of another module that a program uses with this module.
@_exported public import struct Notifications.FieldError
@_exported public import struct Notifications.JSONNumber
@_exported public import struct Notifications.JSONObject
@_exported public import enum Notifications.JSONValue
@_exported public import struct Notifications.MessageID
@_exported public import struct Notifications.NotificationMessage
@_exported public import enum Notifications.NotificationPriority
@_exported public import struct Notifications.NotificationTimestamp
