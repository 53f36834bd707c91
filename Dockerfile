# One image for every role: registrar, coordinator and node differ only in the command. No developers' tools inside.
FROM python:3.11-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# The folders that Compose puts volumes on exist and belong to the user, so that new volumes do too.
RUN useradd --system --user-group --uid 10001 --home-dir /state farr \
    && install -d -o farr -g farr -m 0700 /state /registrar /exchange

WORKDIR /src
COPY pyproject.toml constraints.txt LICENSE ./
COPY coordinator ./coordinator
COPY farr ./farr
COPY node ./node
COPY protocols ./protocols
COPY queries ./queries
RUN pip install -c constraints.txt . && rm -rf /src/build

# The demonstration's agreement, how its files are written, and its hospitals, where docker-compose.yml names them.
COPY farr/demo/stroke.toml farr/demo/stroke_mapping.toml /data/
COPY farr/demo/data/ist /data/ist

WORKDIR /state
USER farr
CMD ["farr", "--help"]
