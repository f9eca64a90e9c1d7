#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Send one notification with real oslo.messaging, to compare the relay's messages with.

Publisher, event type, payload and context are given; message_id, _unique_id and
timestamp are oslo's own. Exit status: 0 when the broker has confirmed it, 1 else.
"""

import argparse
import json
import logging
import os
import sys
import threading

from oslo_config import cfg
from oslo_context import context
import oslo_messaging
from oslo_messaging.notify import notifier


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True, help="transport URL, rabbit://user:password@host:port/vhost")
    parser.add_argument("--exchange", default="trove", help="control_exchange (default: %(default)s)")
    parser.add_argument("--topic", default="notification", help="notification topic (default: %(default)s)")
    parser.add_argument("--durable", action="store_true", help="amqp_durable_queues")
    parser.add_argument("--quorum", action="store_true", help="rabbit_quorum_queue")
    parser.add_argument("--driver", choices=["messaging", "messagingv2"], default="messagingv2",
                        help="envelope: none or version 2.0 (default: %(default)s)")
    parser.add_argument("--priority", choices=["info", "error"], default="info")
    parser.add_argument("--publisher-id", default="guest.10.0.0.5")
    parser.add_argument("--event-type", default="dbaas.instance_create.start")
    parser.add_argument("--payload", type=json.loads, default={}, help="a JSON object (default: {})")
    parser.add_argument("--context", type=json.loads, default={},
                        help="a JSON object with arguments of oslo_context's RequestContext (default: {})")
    parser.add_argument("--timeout", type=float, default=30, help="seconds to wait in all (default: %(default)s)")
    return parser.parse_args()


class Failures(logging.Handler):
    """Notices that a notification was lost: the driver only logs it."""

    def __init__(self):
        super().__init__(level=logging.ERROR)
        self.seen = False

    def emit(self, record):
        self.seen = True


def main():
    options = arguments()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    failures = Failures()
    logging.getLogger("oslo_messaging").addHandler(failures)

    conf = cfg.ConfigOpts()
    conf([], project="oslo-notifier", default_config_files=[])
    # The transport takes the exchange when it is made; an override afterwards would go unnoticed.
    oslo_messaging.set_transport_defaults(options.exchange)
    transport = oslo_messaging.get_notification_transport(conf, url=options.url)
    conf.set_override("amqp_durable_queues", options.durable, group="oslo_messaging_rabbit")
    conf.set_override("rabbit_quorum_queue", options.quorum, group="oslo_messaging_rabbit")

    watchdog = threading.Timer(options.timeout, give_up, [options])
    watchdog.daemon = True
    watchdog.start()

    # Without retries a refusal ends the program instead of hanging it.
    sender = notifier.Notifier(
        transport, publisher_id=options.publisher_id, driver=options.driver, topics=[options.topic], retry=0)
    # A plain dict is replaced by {} on the way; a RequestContext is what OpenStack's services pass.
    send = getattr(sender, options.priority)
    send(context.RequestContext(**options.context), options.event_type, options.payload)
    watchdog.cancel()
    transport.cleanup()
    return 1 if failures.seen else 0


def give_up(options):
    print(f"oslo_notifier: not sent within {options.timeout} seconds", file=sys.stderr, flush=True)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
