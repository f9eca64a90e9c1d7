#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make samples of notifications with real Ceilometer and print each as one line of JSON.

The input holds notifications as oslo_listener.py prints them. For each sample of a
meter: message_id, name, type, unit, volume, resource_id, project_id, user_id,
timestamp, metadata, whether Ceilometer would publish it, and the type of resource
under which Gnocchi would keep it (null: not at all).
"""

import argparse
import sys

from ceilometer import service
from ceilometer.meter import notifications
from ceilometer.pipeline import sample as pipeline
from ceilometer.publisher import gnocchi

import notification_lines


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="a ceilometer.conf")
    parser.add_argument("--meters", required=True, help="the directory that stands for /etc/ceilometer/meters.d")
    parser.add_argument("--resources", required=True, help="the file that stands for gnocchi_resources.yaml")
    parser.add_argument("--notifications", required=True, help="a file with one notification a line")
    return parser.parse_args()


def main():
    options = arguments()
    results = notification_lines.Results()
    conf = service.prepare_service([], [options.config])
    # The directory of the operator's meters, then Ceilometer's own: as they are by default.
    directories = list(conf.meter.meter_definitions_dirs)
    directories[directories.index("/etc/ceilometer/meters.d")] = options.meters
    conf.set_override("meter_definitions_dirs", directories, group="meter")

    meters = notifications.ProcessMeterNotifications(conf, publisher=None)
    resources, _ = gnocchi.GnocchiPublisher._load_definitions(conf, None, options.resources)
    kept = {metric: resource.cfg["resource_type"] for resource in resources for metric in resource.metrics}
    for priority, notification in notification_lines.read(options.notifications):
        # Ceilometer's endpoint of samples takes no others.
        if priority not in ("info", "sample"):
            continue
        for sample in meters.build_sample(notification):
            results.write({
                "message_id": notification["metadata"]["message_id"],
                "name": sample.name,
                "type": sample.type,
                "unit": sample.unit,
                "volume": sample.volume,
                "resource_id": sample.resource_id,
                "project_id": sample.project_id,
                "user_id": sample.user_id,
                "timestamp": sample.timestamp,
                "metadata": sample.resource_metadata,
                # The check uses nothing of the pipeline it is a method of.
                "published": pipeline.SamplePipeline._validate_volume(None, sample),
                "kept_as": kept.get(sample.name),
            })
    return 0


if __name__ == "__main__":
    sys.exit(main())
