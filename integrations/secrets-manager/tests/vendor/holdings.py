"""What the contract wants to find in every store, and what the vendor's own client reads of it, as the contract's tests
take it: one JSON object. Knows nothing of any store."""

import json

LONG = "0123456789abcdef" * 1000
TEXTS = {"plain": ["first", "second", "third"], "unicode": ["pässwörd \u2603 \U0001f511 \\ \" \n\t end"], "long": [LONG]}
OBJECTS = {"object": [{"user": "app", "password": "swordfish", "deep": {"list": [1, 2.5, None, True]}}]}
MANY = 30
TAGS = {"team": "payments", "stage": "test"}


class Holdings:
    def __init__(self, provider, config, prefix, lacks):
        """What the store lacks is some of "stage", "at" (a time) and "rotation"."""
        self.told = {"provider": provider, "config": config, "prefix": prefix, "lacks": lacks, "secrets": [],
                     "refused": [], "friends": [], "strangers": []}

    def holds(self, path, versions, tags=None, binary=False):
        """A secret that is there; versions are (identifier, value as the vendor's client reads it), oldest first."""
        versions = [{"id": str(id), "value": value} for id, value in versions]
        self.told["secrets"].append({"path": path, "versions": versions, "tags": tags or {}, "binary": binary})

    def refuses(self, what, path, error, version=None):
        """A secret or version that is not given out."""
        self.told["refused"].append({"what": what, "path": path, "error": error, "version": version})

    def knows(self, what, config):
        """Somebody else who may read all of this."""
        self.told["friends"].append({"what": what, "config": config})

    def knows_not(self, what, config, path, error):
        """Somebody who is not given anything."""
        self.told["strangers"].append({"what": what, "config": config, "path": path, "error": error})

    def tell(self):
        print(json.dumps(self.told))
