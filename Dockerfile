# An environment for development: `docker build -t keras-involution .`, then
# `docker run keras-involution` runs `make test-quick`.
FROM python:3.11-bookworm
WORKDIR /keras-involution
COPY . .
RUN make .venv/test/installed
CMD ["make", "test-quick"]
