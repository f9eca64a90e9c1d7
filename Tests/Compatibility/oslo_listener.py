#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Receive notifications with real oslo.messaging and print each as one line of JSON.

Prints READY once the queues exist and are consumed, then one object for each
notification: priority, ctxt, publisher_id, event_type, payload, metadata.
Exit status: 0 after --count notifications, 1 after --timeout seconds without
them, or when the broker refuses the listener.
"""

import argparse
import json
import logging
import os
import sys
import threading

from oslo_config import cfg
import oslo_messaging


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True, help="transport URL, rabbit://user:password@host:port/vhost")
    parser.add_argument("--exchange", default="trove", help="control_exchange (default: %(default)s)")
    parser.add_argument("--topic", default="notification", help="notification topic (default: %(default)s)")
    parser.add_argument("--durable", action="store_true", help="amqp_durable_queues")
    parser.add_argument("--quorum", action="store_true", help="rabbit_quorum_queue")
    parser.add_argument("--count", type=int, default=1, help="how many to wait for (default: %(default)s)")
    parser.add_argument("--timeout", type=float, default=30, help="seconds to wait in all (default: %(default)s)")
    return parser.parse_args()


class Endpoint:
    """Takes the two priorities the relay publishes; the names of the methods are oslo's."""

    def __init__(self, count):
        self._remaining = count
        self._lock = threading.Lock()
        self.done = threading.Event()

    def info(self, ctxt, publisher_id, event_type, payload, metadata):
        return self._receive("info", ctxt, publisher_id, event_type, payload, metadata)

    def error(self, ctxt, publisher_id, event_type, payload, metadata):
        return self._receive("error", ctxt, publisher_id, event_type, payload, metadata)

    def _receive(self, priority, ctxt, publisher_id, event_type, payload, metadata):
        # oslo calls endpoints from a pool of threads.
        with self._lock:
            if self._remaining == 0:
                # More than requested: it belongs to the next listener.
                return oslo_messaging.NotificationResult.REQUEUE
            notification = {
                "priority": priority,
                "ctxt": ctxt,
                "publisher_id": publisher_id,
                "event_type": event_type,
                "payload": payload,
                "metadata": metadata,
            }
            print(json.dumps(notification), flush=True)
            self._remaining -= 1
            if self._remaining == 0:
                self.done.set()
            return oslo_messaging.NotificationResult.HANDLED


def main():
    options = arguments()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)

    conf = cfg.ConfigOpts()
    conf([], project="oslo-listener", default_config_files=[])
    transport = oslo_messaging.get_notification_transport(conf, url=options.url)
    conf.set_override("amqp_durable_queues", options.durable, group="oslo_messaging_rabbit")
    conf.set_override("rabbit_quorum_queue", options.quorum, group="oslo_messaging_rabbit")

    endpoint = Endpoint(options.count)
    # The time limit covers the start as well: without a broker, start() tries to connect without end.
    watchdog = threading.Timer(options.timeout, give_up, [options])
    watchdog.daemon = True
    watchdog.start()

    listener = oslo_messaging.get_notification_listener(
        transport,
        [oslo_messaging.Target(exchange=options.exchange, topic=options.topic)],
        [endpoint],
        executor="threading",
        allow_requeue=True,
    )
    try:
        # Returns when exchange and queues are declared, bound and consumed.
        listener.start()
    except Exception as error:
        print(f"oslo_listener: cannot listen: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    print("READY", flush=True)

    endpoint.done.wait()
    # Stopping lets oslo acknowledge what it has handed out.
    listener.stop()
    listener.wait()
    watchdog.cancel()
    transport.cleanup()
    return 0


def give_up(options):
    print(
        f"oslo_listener: fewer than {options.count} notifications within {options.timeout} seconds",
        file=sys.stderr,
        flush=True,
    )
    # sys.exit would end this thread only, and oslo's threads would go on.
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
