#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Convert notifications with real Ceilometer and print what becomes of each as one line of JSON.

The input holds notifications as oslo_listener.py prints them. The first line tells
what Ceilometer would listen on: {"targets": [[exchange, topic], ...]}. Then, for each
notification: {"message_id", "event_type", "generated", "traits": {name: [type, value]}},
or {"message_id", "event_type", "lost": why}.
"""

import argparse
import sys

from ceilometer import messaging
from ceilometer import notification as agent
from ceilometer import service
from ceilometer.event import converter
from stevedore import extension

import notification_lines


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="a ceilometer.conf")
    parser.add_argument("--definitions", required=True, help="the file of event definitions")
    parser.add_argument("--notifications", required=True, help="a file with one notification a line")
    return parser.parse_args()


def main():
    options = arguments()
    results = notification_lines.Results()
    conf = service.prepare_service([], [options.config])
    conf.set_override("definitions_cfg_file", options.definitions, group="event")
    # Ceilometer itself does so before it asks for the targets: it registers oslo's own settings.
    messaging.get_notifier(messaging.get_transport(conf, "fake://"), "")
    targets = agent.NotificationService(0, conf).get_targets()
    results.write({"targets": sorted([target.exchange, target.topic] for target in targets)})

    plugins = extension.ExtensionManager(namespace="ceilometer.event.trait_plugin")
    events = converter.setup_events(conf, plugins)
    for priority, notification in notification_lines.read(options.notifications):
        result = {
            "message_id": notification["metadata"]["message_id"],
            "event_type": notification["event_type"],
        }
        try:
            event = events.to_event(priority, notification)
        except Exception as error:
            # Ceilometer's endpoint logs this and continues without the event.
            result["lost"] = repr(error)
        else:
            if event is None:
                result["lost"] = "no definition matches"
            else:
                result["generated"] = event.generated.isoformat()
                result["traits"] = {}
                for trait in event.traits:
                    name, _, value = trait.serialize()
                    result["traits"][name] = [trait.get_type_name(), value]
        results.write(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
