"""Fills AWS Secrets Manager, as moto plays it, with boto3, reads it back with it, and tells what it found.

    fill_aws.py URL
"""

import base64
import json
import sys

import boto3

from holdings import MANY, OBJECTS, TAGS, TEXTS, Holdings

url = sys.argv[1]
key = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
manager = boto3.client("secretsmanager", region_name="eu-central-1", endpoint_url=url,
                       aws_access_key_id=key["access_key_id"], aws_secret_access_key=key["secret_access_key"])
found = Holdings("aws", {"region": "eu-central-1", "endpoint": url, "credentials": {"static": key}}, "contract/",
                 ["at"])


def put(path, values, tags=None, field="SecretString"):
    tags = [{"Key": name, "Value": value} for name, value in (tags or {}).items()]
    ids = [manager.create_secret(Name=path, Tags=tags, **{field: values[0]})["VersionId"]]
    ids += [manager.put_secret_value(SecretId=path, **{field: value})["VersionId"] for value in values[1:]]
    # A version without a stage may be gone at any time: the last two have one each.
    return [(id, manager.get_secret_value(SecretId=path, VersionId=id)[field]) for id in ids[-2:]]


for path, values in TEXTS.items():
    tags = TAGS if path == "plain" else None
    found.holds(f"contract/{path}", put(f"contract/{path}", values, tags), tags)
for path, values in OBJECTS.items():
    found.holds(f"contract/{path}", put(f"contract/{path}", [json.dumps(value) for value in values]))
[(id, read)] = put("contract/binary", [bytes(range(256))], field="SecretBinary")
found.holds("contract/binary", [(id, base64.b64encode(read).decode())], binary=True)
for number in range(MANY):
    found.holds(f"contract/many/{number:03}", put(f"contract/many/{number:03}", [str(number)]))
put("contractor", ["another prefix"])

put("gone", ["x"])
manager.delete_secret(SecretId="gone", RecoveryWindowInDays=7)
found.refuses("a secret that is to be deleted", "gone", "not_found_deleted")
found.refuses("a secret that never was", "contract/nothing", "not_found_secret")
found.refuses("a version that never was", "contract/plain", "not_found_version", "00000000-0000-4000-8000-000000000000")
found.tell()
