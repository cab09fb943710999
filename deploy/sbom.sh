#!/bin/sh
# Writes what the relay is made of, as a CycloneDX document. The same sources give the same document, wherever they lie.
# usage: deploy/sbom.sh FILE        an absolute path; needs cargo-cyclonedx
set -eu
cd "$(dirname "$0")/.."
SOURCE_DATE_EPOCH=0 cargo cyclonedx --quiet --format json --spec-version 1.5
mkdir -p "$(dirname "$1")"
sed "s|path+file://$PWD#|path+file:///omni-relay#|" omni-relay.cdx.json > "$1"
rm omni-relay.cdx.json
