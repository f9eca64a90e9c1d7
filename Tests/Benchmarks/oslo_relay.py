#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trove's way today, with the real oslo.messaging: a guest casts how its operation ended to a conductor, over the
control plane's broker, and the conductor's Notifier publishes it.

  oslo_relay.py serve        the conductor; says "ready" on standard output, and ends with its standard input
  oslo_relay.py load COUNT   a guest: casts so many, waits until the conductor has published them, and prints a line as the
                             other load generators do

The transport URL is in $BENCH_TRANSPORT_URL.
"""

import os
import resource
import sys
import threading
import time

from oslo_config import cfg
import oslo_messaging

TARGET = {"topic": "bench_oslo_conductor", "version": "1.0"}
PAYLOAD = {
    "tenant_id": "1bd1a8a1d0e74f5d9f0a8f0e9f1f3b6c", "user_id": "6f0d6d0f2c5b4a7e8d9c0b1a2f3e4d5c",
    "client_ip": "192.0.2.7", "server_ip": "198.51.100.7", "server_type": "conductor",
    "request_id": "req-7c6d2a52-0d54-4c8e-9f57-000000000001", "instance_id": "bench-0", "dbname": "shop",
}


class Endpoint:
    """The endpoint that the guest calls."""

    target = oslo_messaging.Target(version="1.0")

    def __init__(self, transport):
        self.notifier = oslo_messaging.Notifier(
            transport, publisher_id="conductor.bench", driver="messagingv2", topics=["bench_oslo"])
        self.lock = threading.Lock()
        self.published = 0

    def notify_end(self, ctxt, payload):
        self.notifier.info(ctxt, "dbaas.database_create.end", payload)
        with self.lock:
            self.published += 1

    def count(self, ctxt):
        with self.lock:
            return self.published


def serve(conf):
    transport = oslo_messaging.get_rpc_transport(conf)
    endpoint = Endpoint(oslo_messaging.get_notification_transport(conf))
    server = oslo_messaging.get_rpc_server(
        transport, oslo_messaging.Target(server="bench", **TARGET), [endpoint], executor="threading")
    server.start()
    print("ready", flush=True)
    sys.stdin.read()
    server.stop()
    server.wait()


def load(conf, count):
    client = oslo_messaging.get_rpc_client(
        oslo_messaging.get_rpc_transport(conf), oslo_messaging.Target(**TARGET), timeout=60)
    before = client.call({}, "count")
    print("connected", flush=True)
    sys.stdin.readline()
    start, used = time.monotonic(), sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    for _ in range(count):
        client.cast({}, "notify_end", payload=PAYLOAD)
    while client.call({}, "count") - before < count:
        time.sleep(0.02)
    seconds, used = time.monotonic() - start, sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - used
    print("messages=%d seconds=%.6f processor_us=%d" % (count, seconds, used * 1e6))


def main():
    if sys.argv[1:2] not in (["serve"], ["load"]):
        sys.exit(__doc__)
    # Durable, as the other rows are.
    oslo_messaging.set_transport_defaults("bench_oslo")
    # The global object: oslo.messaging looks for some of its options here.
    conf = cfg.CONF
    conf([], project="oslo-relay", default_config_files=[])
    url = os.environ["BENCH_TRANSPORT_URL"]
    # Registers the options of the driver; one of them is changed.
    oslo_messaging.get_rpc_transport(conf, url=url)
    conf.set_override("transport_url", url)
    conf.set_override("amqp_durable_queues", True, group="oslo_messaging_rabbit")
    if sys.argv[1] == "serve":
        serve(conf)
    else:
        load(conf, int(sys.argv[2]))


if __name__ == "__main__":
    main()
