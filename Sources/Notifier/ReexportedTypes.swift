// SPDX-License-Identifier: Apache-2.0

// The types of other modules that a control plane's program uses, so that it imports only this module.
@_exported public import struct ContextSigning.ContextSigner
@_exported public import enum ContextSigning.SigningAlgorithm
@_exported public import struct ContextSigning.SigningKey
@_exported public import struct ContextSigning.SigningKeyError
@_exported public import struct DriverErrors.DriverError
@_exported public import struct Notifications.Catalogue
@_exported public import struct Notifications.CatalogueError
@_exported public import struct Notifications.Catalogues
@_exported public import struct Notifications.EventDefinition
@_exported public import struct Notifications.ExceptionInfo
@_exported public import protocol Notifications.ExceptionInfoProviding
@_exported public import struct Notifications.FieldDefinition
@_exported public import struct Notifications.FieldError
@_exported public import struct Notifications.JSONError
@_exported public import struct Notifications.JSONNumber
@_exported public import struct Notifications.JSONObject
@_exported public import enum Notifications.JSONValue
@_exported public import struct Notifications.MessageID
@_exported public import struct Notifications.NotificationContext
@_exported public import struct Notifications.NotificationMessage
@_exported public import struct Notifications.NotificationOrigin
@_exported public import enum Notifications.NotificationPriority
@_exported public import struct Notifications.NotificationTimestamp
@_exported public import struct Notifications.OperationDefinition
@_exported public import struct Notifications.Redaction
@_exported public import struct Notifications.RedactionError
