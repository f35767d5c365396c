#!/usr/bin/env python3
"""AWS's own client, boto3, against an emulator: writes what the tests read, and reads it as they do.

    aws.py ENDPOINT REGION seed             the secrets of the tests, anew
    aws.py ENDPOINT REGION get NAME [FIELD=VALUE ...]
    aws.py ENDPOINT REGION describe NAME
    aws.py ENDPOINT REGION versions NAME
    aws.py ENDPOINT REGION list PREFIX
    aws.py ENDPOINT REGION user             a user who may read, and a key of theirs

Prints JSON. Needs boto3.
"""
import base64
import json
import sys

import boto3
from botocore.config import Config


def client(service, endpoint, region):
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )


def seed(store):
    for name in ("it/text", "it/json", "it/binary", "it/versions", "it/deleted", "it/plain", "other/it/x"):
        try:
            store.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
        except store.exceptions.ResourceNotFoundException:
            pass
    env = [{"Key": "env", "Value": "test"}]
    store.create_secret(Name="it/text", SecretString="hunter2 \u00e9\U0001f511\n", Description="words", Tags=env)
    store.create_secret(Name="it/json", SecretString=json.dumps({"user": "app", "password": "s3cret"}), Tags=env)
    store.create_secret(Name="it/binary", SecretBinary=bytes(range(256)))
    store.create_secret(Name="it/plain", SecretString="plain")
    store.create_secret(Name="other/it/x", SecretString="x")
    first = store.create_secret(Name="it/versions", SecretString="one")["VersionId"]
    second = store.put_secret_value(SecretId="it/versions", SecretString="two")["VersionId"]
    store.create_secret(Name="it/deleted", SecretString="gone")
    store.delete_secret(SecretId="it/deleted", RecoveryWindowInDays=7)
    return {"first": first, "second": second}


def get(store, name, *fields):
    found = store.get_secret_value(SecretId=name, **dict(field.split("=", 1) for field in fields))
    binary = "SecretBinary" in found
    return {
        "value": base64.b64encode(found["SecretBinary"]).decode() if binary else found["SecretString"],
        "binary": binary,
        "version": found["VersionId"],
        "arn": found["ARN"],
        "stages": sorted(found["VersionStages"]),
    }


def describe(store, name):
    found = store.describe_secret(SecretId=name)
    tags = {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}
    return {"arn": found["ARN"], "description": found.get("Description"), "tags": tags}


def versions(store, name):
    return sorted(store.describe_secret(SecretId=name)["VersionIdsToStages"])


def listed(store, prefix):
    pages = store.get_paginator("list_secrets").paginate(Filters=[{"Key": "name", "Values": [prefix]}])
    return sorted(entry["Name"] for page in pages for entry in page["SecretList"])


def user(iam):
    try:
        iam.create_user(UserName="reader")
    except iam.exceptions.EntityAlreadyExistsException:
        pass
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "secretsmanager:*", "Resource": "*"}],
    }
    iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=json.dumps(policy))
    for key in iam.list_access_keys(UserName="reader")["AccessKeyMetadata"]:
        iam.delete_access_key(UserName="reader", AccessKeyId=key["AccessKeyId"])
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    return {"id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}


def main(endpoint, region, what, *words):
    if what == "user":
        answer = user(client("iam", endpoint, region))
    else:
        does = {"seed": seed, "get": get, "describe": describe, "versions": versions, "list": listed}[what]
        answer = does(client("secretsmanager", endpoint, region), *words)
    print(json.dumps(answer))


main(*sys.argv[1:])
