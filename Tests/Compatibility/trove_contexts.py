#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Print a context as real Trove hands it to a guest, for every notification class.

For each subclass of trove.common.notification.DBaaSAPINotification one line of
JSON: class, event_type, context (TroveContext.to_dict()), required_end_traits.
The notifications are made as Trove's API makes them: from a request, then with
the traits that its call sites pass. Exit status: 0.
"""

import argparse
import datetime
import json
import sys

import webob

from trove.common import context as trove_context
from trove.common import notification
from trove.common.db import models as guest_models

CLUSTER = "b4d8e1aa-3c68-4c86-b3f7-0d9f4b6f7f22"
BACKUP = "4c1dba1e-4a43-4f5b-9a53-2f1d70a0a933"
CONFIGURATION = "7a2f9c55-58de-4a6f-a37a-5b1c6f1f0d44"


def traits(secret, instance_id):
    """What Trove's call sites pass to StartNotification, by class."""
    instance = {"instance_id": instance_id}
    cluster = {"cluster_id": CLUSTER}
    # The second StartNotification of a user's deletion passes the guest model's whole state.
    user = guest_models.DatastoreUser(name="anna", host="%", password=secret)
    return {
        "DBaaSInstanceCreate": {
            "name": "shop-db", "flavor_id": 7, "datastore": "mysql", "datastore_version": "8.0.29",
            "image_id": "9d0b7f6e-1f3e-44a0-8d3b-9b3f3e1c5d55", "availability_zone": None, "region_name": None,
            "locality": None, "volume_type": None, "volume_size": 5, "replica_of": None, "replica_count": None,
            "nics": [{"network_id": "5d3c1c1e", "subnet_id": None}],
        },
        "DBaaSInstanceReboot": instance,
        "DBaaSInstanceRestart": instance,
        "DBaaSInstanceResizeVolume": dict(instance, new_size=10),
        "DBaaSInstanceResizeInstance": dict(instance, new_flavor_id="8"),
        "DBaaSInstancePromote": instance,
        "DBaaSInstanceEject": instance,
        "DBaaSInstanceDelete": instance,
        "DBaaSInstanceResetStatus": instance,
        "DBaaSInstanceDetach": instance,
        "DBaaSInstanceAttachConfiguration": dict(instance, configuration_id=CONFIGURATION),
        "DBaaSInstanceDetachConfiguration": instance,
        "DBaaSClusterAttachConfiguration": dict(cluster, configuration_id=CONFIGURATION),
        "DBaaSClusterDetachConfiguration": cluster,
        "DBaaSClusterCreate": {"name": "c", "datastore": "mongodb", "datastore_version": "3.0"},
        "DBaaSClusterRestart": cluster,
        "DBaaSClusterUpgrade": dict(cluster, datastore_version="1f9c1d6a-5a3f-4a6b-8f0e-3c1b5a7d9e66"),
        "DBaaSClusterDelete": cluster,
        "DBaaSClusterResetStatus": cluster,
        "DBaaSClusterAddShard": cluster,
        "DBaaSClusterGrow": cluster,
        "DBaaSClusterShrink": dict(cluster, instance_ids=[instance_id]),
        "DBaaSBackupCreate": dict(instance, name="nightly", description=None, parent_id=None),
        "DBaaSBackupDelete": {"backup_id": BACKUP},
        # Trove joins names of databases with a dot, and of users with a comma.
        "DBaaSDatabaseCreate": dict(instance, dbname=".".join(["shop", "stock"])),
        "DBaaSDatabaseDelete": dict(instance, dbname="shop"),
        "DBaaSUserCreate": dict(instance, username=",".join(["anna", "ben"])),
        "DBaaSUserDelete": dict(instance, username=user.serialize()),
        "DBaaSUserUpdateAttributes": dict(instance, username="anna"),
        "DBaaSUserGrant": dict(instance, username="anna", database=["shop", "stock"]),
        "DBaaSUserRevoke": dict(instance, username="anna", database=["shop", "stock"]),
        "DBaaSUserChangePassword": dict(instance, username=",".join(["anna", "ben"])),
        "DBaaSConfigurationCreate": {"name": "tuned", "datastore": "mysql", "datastore_version": "8.0.29"},
        "DBaaSConfigurationDelete": {"configuration_id": CONFIGURATION},
        "DBaaSConfigurationUpdate": {"configuration_id": CONFIGURATION, "name": "tuned", "description": None},
        "DBaaSConfigurationEdit": {"configuration_id": CONFIGURATION},
        "DBaaSInstanceUpgrade": dict(instance, datastore_version_id="1f9c1d6a-5a3f-4a6b-8f0e-3c1b5a7d9e66"),
        "DBaaSInstanceMigrate": {"host": None},
    }


def request():
    return webob.Request.blank("/v1.0/tenant-1/instances", environ={"REMOTE_ADDR": "192.0.2.17"},
                               base_url="http://trove-api.example:8779")


def context(secret, number):
    return trove_context.TroveContext(
        user_id="user-1", project_id="tenant-1", domain_id=None, user_domain_id="default",
        project_domain_id="default", auth_token="gAAAA-" + secret, request_id=f"req-{number:08d}",
        global_request_id="req-global", roles=["member", "reader"], is_admin=False, is_admin_project=False,
        read_only=True, show_deleted=True, resource_uuid="resource-1", limit=20, marker="m",
        service_catalog=[{"type": "volumev3", "endpoints": [{"publicURL": f"http://u:{secret}@cinder/"}]}],
        overwrite=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--secret", default="s3cr3t", help="stands wherever a credential does (default: %(default)s)")
    parser.add_argument("--instance", default="0e6d4b9e-6f0c-4d0c-9c3f-1b8a8a6f4b11",
                        help="the id of the instance that the operations are about (default: %(default)s)")
    parser.add_argument("--plain", action="store_true",
                        help="print one context without a notification instead, and what oslo publishes of it")
    options = parser.parse_args()
    if options.plain:
        plain = context(options.secret, 0)
        print(json.dumps({"context": plain.to_dict(), "published": plain.redacted_copy().to_dict()}))
        return 0

    passed = traits(options.secret, options.instance)
    for number, kind in enumerate(notification.DBaaSAPINotification.__subclasses__()):
        ctx = context(options.secret, number)
        ctx.notification = kind(ctx, request=request())
        # A service of one's own may add a field that Trove has not, and a password may be in it.
        ctx.notification.payload.update(passed[kind.__name__], admin_password=options.secret)
        without = context(options.secret, number)
        print(json.dumps({
            "class": kind.__name__,
            "event_type": ctx.notification.event_type(),
            "context": ctx.to_dict(),
            "published": without.redacted_copy().to_dict(),
            "required_end_traits": ctx.notification.required_end_traits(),
        }, default=datetime.datetime.isoformat))
    return 0


if __name__ == "__main__":
    sys.exit(main())
