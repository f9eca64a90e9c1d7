// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import Notifications
import Notifier
import PeriodicReports
import ServiceLifecycle
import Settings
import StatusNotifications

/// The settings of the periodic reports, and the reporters made from them.
struct ReportSettings {
    /// The declarations of these settings.
    static let declarations: [Setting] = [
        .strings(
            "reports.exists_command",
            help: "Run this program with its arguments to get the instances as JSON lines, for `trove.instance.exists`."
        ),
        .seconds(
            "reports.exists_notification_interval", 1...Self.longestInterval,
            default: ExistsReporter.Configuration(publisherID: "").interval,
            help: "Make audit periods this long."),
        .string(
            "reports.state_file",
            help: "Store the end of the last audit period in this file; required with `reports.exists_command`."),
        .strings(
            "reports.quota_command",
            help: "Run this program with its arguments to get the quotas and their usage as JSON lines."),
        .seconds(
            "reports.quota_notification_interval", -1...Self.longestInterval, default: -1,
            help: "Report the quotas at this interval, at least 1; -1 for no reports."),
        .choice(
            "reports.quota_event", among: QuotaUsage.EventType.allCases.map(\.rawValue),
            default: Self.quotaDefaults.eventType.rawValue,
            help: "Use this event type for quotas: the specification's or real Trove's spelling."),
        .seconds(
            "reports.command_timeout", 0.1...86_400, default: CommandRowSource.Limits().timeout,
            help: "Kill a command that runs longer than this; the report has then failed."),
        .strings(
            "reports.service_ids",
            help: "Set service ids of datastore managers, `manager=id` each; they override Trove's defaults."),
        .string(
            "reports.publisher_id", help: "Set the reports' publisher_id; by default `taskmanager.<publisher.host>`."),
    ]

    private static let quotaDefaults = QuotaReporter.Configuration(interval: .zero, publisherID: "")
    /// The longest interval in seconds: four weeks.
    private static let longestInterval = 2_419_200.0

    private let exists: (configuration: ExistsReporter.Configuration, source: CommandRowSource, file: PeriodStateFile)?
    private let quotas: (configuration: QuotaReporter.Configuration, source: CommandRowSource)?
    private let logger: Logger

    /// Checks the settings, the commands and the state file, and writes nothing.
    ///
    /// - Throws: ``ReportSettingsError`` or `PeriodStateError`, which name the setting.
    init(_ settings: Settings, catalogues: Catalogues, logger: Logger) throws {
        self.logger = logger
        let publisherID =
            try settings.optionalString("reports.publisher_id") ?? "taskmanager.\(try settings.publisherHost())"
        let serviceIDs = try Self.serviceIDs(settings)
        var limits = CommandRowSource.Limits()
        limits.timeout = try settings.duration("reports.command_timeout")
        let retryTimeout = try settings.duration("messaging.publish_timeout")

        if let source = try Self.source("reports.exists_command", settings, limits, logger) {
            guard let path = try settings.optionalString("reports.state_file") else {
                throw ReportSettingsError(
                    """
                    reports.state_file is not set, and reports.exists_command needs it to store the end of the last audit \
                    period; set it.
                    """)
            }
            var configuration = ExistsReporter.Configuration(publisherID: publisherID)
            configuration.interval = try settings.duration("reports.exists_notification_interval")
            configuration.serviceIDs = serviceIDs
            configuration.retryTimeout = retryTimeout
            try Self.require("trove.instance.exists", for: "reports.exists_command", in: catalogues)
            let file = PeriodStateFile(path: path, setting: "reports.state_file")
            _ = try file.load()
            self.exists = (configuration, source, file)
        } else {
            self.exists = nil
        }

        let interval = try settings.seconds("reports.quota_notification_interval")
        guard interval < 0 || interval >= 1 else {
            throw ReportSettingsError(
                "reports.quota_notification_interval must be -1, for no reports, or at least 1 second.")
        }
        let source = try Self.source("reports.quota_command", settings, limits, logger)
        if interval >= 0 {
            guard let source else {
                throw ReportSettingsError(
                    "reports.quota_notification_interval is set, but reports.quota_command is not; set the command, or the interval to -1."
                )
            }
            var configuration = QuotaReporter.Configuration(interval: .seconds(interval), publisherID: publisherID)
            configuration.retryTimeout = retryTimeout
            configuration.eventType =
                QuotaUsage.EventType(rawValue: try settings.string("reports.quota_event")) ?? configuration.eventType
            try Self.require(
                configuration.eventType.rawValue, for: "reports.quota_notification_interval", in: catalogues)
            self.quotas = (configuration, source)
        } else {
            self.quotas = nil
        }
    }

    /// Returns the reporters that are switched on. Creates the state file if it does not exist; the first period then
    /// begins now.
    ///
    /// - Throws: `PeriodStateError` when the state file cannot be created.
    func reporters(notifier: Notifier) throws -> [any Service] {
        var reporters: [any Service] = []
        if let exists {
            reporters.append(
                ExistsReporter(
                    configuration: exists.configuration, source: exists.source, notifier: notifier,
                    state: try exists.file.loadOrBegin(at: .now()), store: exists.file, logger: self.logger))
        }
        if let quotas {
            reporters.append(
                QuotaReporter(
                    configuration: quotas.configuration, source: quotas.source, notifier: notifier,
                    logger: self.logger))
        }
        return reporters
    }

    /// - Throws: ``ReportSettingsError`` when the event is switched off: to configure a report that is never published
    ///   is a mistake.
    private static func require(_ eventType: String, for setting: String, in catalogues: Catalogues) throws {
        guard catalogues.event(eventType)?.isPublished == true else {
            throw ReportSettingsError("\(setting) is set, and catalogue.disable switches \(eventType) off: remove one.")
        }
    }

    private static func source(
        _ setting: String, _ settings: Settings, _ limits: CommandRowSource.Limits, _ logger: Logger
    ) throws -> CommandRowSource? {
        let command = try settings.strings(setting)
        guard let program = command.first else { return nil }
        let environment = ProcessInfo.processInfo.environment
        let candidates =
            program.contains("/")
            ? [program] : (environment["PATH"] ?? "").split(separator: ":").map { "\($0)/\(program)" }
        guard candidates.contains(where: Self.isProgram) else {
            let place = program.contains("/") ? "" : " in PATH"
            throw ReportSettingsError(
                "\(setting): there is no executable program \(program)\(place); install it or correct the setting.")
        }
        return CommandRowSource(
            name: setting, command: command,
            // The command must not get the conductor's own settings, which include the broker's password.
            environment: environment.filter { !$0.key.hasPrefix(ConductorSettings.schema.environmentPrefix + "_") },
            limits: limits, logger: logger)
    }

    private static func isProgram(_ path: String) -> Bool {
        var isDirectory = ObjCBool(false)
        let exists = unsafe FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
        return exists && !isDirectory.boolValue && FileManager.default.isExecutableFile(atPath: path)
    }

    private static func serviceIDs(_ settings: Settings) throws -> ServiceIDs {
        var own: [String: String] = [:]
        for entry in try settings.strings("reports.service_ids") {
            let parts = entry.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else {
                throw ReportSettingsError("reports.service_ids: \(entry) is not manager=id; correct it.")
            }
            guard own.updateValue(parts[1], forKey: parts[0]) == nil else {
                throw ReportSettingsError("reports.service_ids: \(parts[0]) has two ids; remove one.")
            }
        }
        return ServiceIDs.trove.overridden(by: ServiceIDs(own))
    }
}

/// An error for settings of the periodic reports that cannot be used.
struct ReportSettingsError: Error, CustomStringConvertible {
    /// One sentence that names the settings.
    let description: String

    init(_ description: String) { self.description = description }
}
