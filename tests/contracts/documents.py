"""Holds the documents that a relay serves against the schemas of OpenAPI 3.1 and AsyncAPI 3.0.

    documents.py http://127.0.0.1:8080 SCHEMA_OF_ASYNCAPI
"""

import json
import sys
import urllib.request

from jsonschema import Draft7Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

url, schema = sys.argv[1:]


def served(name):
    with urllib.request.urlopen(f"{url}/{name}", timeout=10) as answer:
        return json.load(answer)


openapi, asyncapi = served("openapi.json"), served("asyncapi.json")
assert openapi["openapi"].startswith("3.1.") and asyncapi["asyncapi"] == "3.0.0"
OpenAPIV31SpecValidator(openapi).validate()
with open(schema) as file:
    Draft7Validator(json.load(file)).validate(asyncapi)
print("contracts: openapi.json and asyncapi.json are what OpenAPI 3.1 and AsyncAPI 3.0 want")
