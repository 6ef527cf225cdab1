"""The server over real HTTP: API, limits, bombs, concurrent clients."""

from __future__ import annotations

import io
import json
import socket
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor, as_completed

import httpx
import numpy as np
import pytest
from PIL import Image

from keras_involution.whale_id.assemble import build_network
from keras_involution.whale_id.embeddings import embed
from keras_involution.whale_id.serve import Limits, Matcher, create_app
from tests.whale_id.animals import animals, portrait
from tests.whale_id.calibrations import KEYPOINTS, calibration_by_hand
from tests.whale_id.keypoints import with_random_keypoints
from tests.whale_id.server import served
from tests.whale_id.settings import small

TOKEN = {"Authorization": "Bearer secret"}
HEAD = b"POST /match HTTP/1.1\r\nHost: localhost\r\n"
LIMITS = Limits(files=3, file_bytes=200_000, pixels=1_000_000, batch=4, waiting=40)


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory):
    network = build_network(small())
    table = animals(tmp_path_factory.mktemp("animals"))
    return network, embed(network, table)[0]


@pytest.fixture(scope="module")
def matcher(embeddings):
    return Matcher(*embeddings)


@pytest.fixture(scope="module")
def address(matcher):
    with served(create_app(matcher, token="secret", limits=LIMITS)) as address:
        yield address


def png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    return file.getvalue()


def post(address, *files: bytes, field="images[]", headers=TOKEN) -> httpx.Response:
    uploads = [(field, (f"{i}.png", data)) for i, data in enumerate(files)]
    return httpx.post(f"{address}/match", files=uploads, headers=headers, timeout=60)


def test_a_known_photo_is_found(address):
    response = post(address, png(portrait(2, 1)))
    assert response.status_code == 200
    answer = response.json()
    assert set(answer) == {"matches"}
    best = answer["matches"][0]
    assert set(best) == {"rank", "id", "rating", "details"}
    assert best["rank"] == 1 and best["id"] == "animal_2"
    # Without a calibration, a number that looks like a probability would mislead.
    assert {match["rating"] for match in answer["matches"]} == {0.0}
    assert best["details"].endswith("; no calibration, so the rating is 0")
    assert [match["rank"] for match in answer["matches"]] == [1, 2, 3, 4]


def test_several_photos_are_of_one_animal(address):
    one = post(address, png(portrait(1, 0))).json()["matches"]
    both = post(address, png(portrait(1, 0)), png(portrait(1, 9))).json()["matches"]
    assert both[0]["id"] == "animal_1"
    assert both[0]["details"] != one[0]["details"]


@pytest.mark.parametrize("headers", ({}, {"Authorization": "Bearer wrong"}))
def test_the_token_is_asked_for(address, headers):
    response = post(address, png(portrait(0, 0)), headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"


def test_limits_are_kept_and_named(address):
    good = png(portrait(0, 0))
    assert post(address, good, good, good).status_code == 200
    response = post(address, good, good, good, good)
    assert response.status_code == 413 and "3 photos" in response.text
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3)).astype("uint8")
    response = post(address, png(noise))
    assert response.status_code == 413 and "200,000 bytes" in response.text
    response = post(address, png(np.zeros((1200, 1200, 3), "uint8")))
    assert response.status_code == 422 and "pixels" in response.text


PART = b"""--b\r
Content-Disposition: form-data; name="images[]"; filename="endless.png"\r
\r
"""


@pytest.mark.parametrize("begin", (PART, b""), ids=("a photo", "nonsense"))
def test_a_body_that_never_ends_is_cut_off(address, begin):
    sent = 0

    def endless():
        nonlocal sent
        yield begin
        while sent < 50_000_000:
            sent += 65536
            yield b"x" * 65536

    headers = {**TOKEN, "Content-Type": "multipart/form-data; boundary=b"}
    try:
        response = httpx.post(
            f"{address}/match", content=endless(), headers=headers, timeout=60
        )
    except httpx.HTTPError:
        pass  # The server closed the connection during the upload.
    else:
        assert response.status_code in (400, 413)
    assert sent < 50_000_000
    assert httpx.get(f"{address}/health").status_code == 200


def test_a_body_that_is_announced_too_large_is_not_read(address):
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as client:
        client.sendall(
            HEAD + b"Authorization: Bearer secret\r\n"
            b"Content-Length: 99999999999\r\n\r\n"
        )
        assert b" 413 " in client.recv(1000).split(b"\r\n")[0]


def chunk(name: bytes, data: bytes) -> bytes:
    check = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)


def test_a_decompression_bomb_is_refused_in_no_time(address):
    header = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data)
    response = post(address, bomb)
    assert response.status_code == 422 and "pixels" in response.text


@pytest.mark.parametrize("data", (b"", b"no image", png(portrait(0, 0))[:-200]))
def test_what_is_no_picture_is_named(address, data):
    response = post(address, data)
    assert response.status_code == 422 and "0.png" in response.text


def test_a_request_without_photos_is_refused(address):
    assert post(address, png(portrait(0, 0)), field="other").status_code == 422
    response = httpx.post(f"{address}/match", headers=TOKEN, data={"images[]": "text"})
    assert response.status_code == 422


def test_clients_at_once_get_their_own_answers_in_batches(address):
    def ask(number: int) -> str:
        return post(address, png(portrait(number % 4, 0))).json()["matches"][0]["id"]

    before = metrics(address)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, range(24)))
    assert answers == [f"animal_{number % 4}" for number in range(24)]
    after = metrics(address)
    batches = after["batches_total"] - before["batches_total"]
    name = "batched_photos_total"
    assert after[name] - before[name] == 24
    assert batches < 24


def metrics(address) -> dict[str, float]:
    text = httpx.get(f"{address}/metrics", headers=TOKEN).text
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#"]
    return {name.removeprefix("whale_id_"): float(value) for name, value in lines}


def test_health_is_open_and_metrics_are_not(address):
    health = httpx.get(f"{address}/health").json()
    assert health == {"status": "ok", "animals": 4, "photos": 16}
    post(address, png(portrait(0, 0)))
    assert metrics(address)['requests_total{code="200"}'] >= 1
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        response = httpx.get(f"{address}/metrics", headers=headers)
        assert response.status_code == 401 and "whale_id_" not in response.text


def test_nothing_is_loaded_from_elsewhere(address):
    assert "/match" in httpx.get(f"{address}/openapi.json").json()["paths"]
    for path in ("/docs", "/redoc"):
        assert httpx.get(f"{address}{path}").status_code == 404
    page = httpx.get(address).text
    assert "://" not in page and "src=" not in page and "@import" not in page


def test_every_answer_has_a_security_policy(address):
    for path in ("/", "/health", "/openapi.json", "/nowhere"):
        headers = httpx.get(f"{address}{path}").headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_a_database_of_another_network_is_refused(embeddings):
    other = build_network(small(cells=2))
    with pytest.raises(ValueError, match="Received: database=128, network=512"):
        Matcher(other, embeddings[1])


@pytest.mark.parametrize("token", ("a b", "secret\n", "sécret", "a\tb"))
def test_a_token_that_no_header_carries_is_refused(matcher, token):
    with pytest.raises(ValueError, match=r"ASCII.*characters=") as error:
        create_app(matcher, token=token)
    assert token.strip() not in str(error.value)


def test_a_request_may_be_larger_than_the_queue(matcher):
    limits = Limits(files=6, batch=2, waiting=4)
    with served(create_app(matcher, limits=limits)) as address:
        response = post(address, *[png(portrait(3, 0))] * 6, headers={})
    assert response.json()["matches"][0]["id"] == "animal_3"


def test_uploads_beyond_the_bytes_at_a_time_wait(matcher):
    """An incomplete upload uses up the limit."""
    noise = np.random.default_rng(0).integers(0, 256, (150, 150, 3)).astype("uint8")
    photo = png(noise)
    assert 60_000 < len(photo) < 100_000
    limits = Limits(upload_bytes=150_000)
    with served(create_app(matcher, limits=limits)) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as client:
            client.sendall(
                HEAD + b"Content-Type: multipart/form-data; boundary=b\r\n"
                b"Content-Length: 300000\r\n\r\n" + PART + bytes(100_000)
            )
            until = time.monotonic() + 20
            response = post(address, photo, headers={})
            while response.status_code != 503 and time.monotonic() < until:
                response = post(address, photo, headers={})
            assert response.status_code == 503 and response.headers["retry-after"]
        until = time.monotonic() + 20
        while response.status_code == 503 and time.monotonic() < until:
            response = post(address, photo, headers={})
        assert response.status_code == 200


def test_photos_beyond_the_queue_are_turned_away(embeddings):
    works = threading.Event()

    class Held(Matcher):
        def embed(self, *arguments):
            works.wait(60)
            return super().embed(*arguments)

    works.set()  # The server runs its network once before it accepts requests.
    app = create_app(Held(*embeddings), limits=Limits(batch=1, waiting=2))
    with served(app) as address, ThreadPoolExecutor(8) as pool:
        works.clear()
        asked = []
        for number in range(8):
            data = png(portrait(number % 4, 0))
            asked.append(pool.submit(post, address, data, headers={}))
            time.sleep(0.2)  # It is decoded and waits for the network.
        try:
            turned_away = next(a for a in as_completed(asked, timeout=30)).result()
        finally:
            works.set()
        assert turned_away.status_code == 503 and turned_away.headers["retry-after"]
        statuses = [response.result().status_code for response in asked]
    # At most one in the network, two waiting for it, and two waiting for a decoder.
    assert set(statuses) == {200, 503} and statuses.count(200) <= 5


def test_a_client_that_goes_away_is_counted(address):
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as client:
        client.sendall(
            HEAD + b"Authorization: Bearer secret\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n"
            b"Content-Length: 9999\r\n\r\n" + PART
        )
        time.sleep(0.2)
    for _ in range(100):
        if 'requests_total{code="499"}' in metrics(address):
            break
        time.sleep(0.05)
    assert metrics(address)['requests_total{code="499"}'] == 1
    assert post(address, png(portrait(0, 0))).status_code == 200


def test_an_empty_token_is_refused(matcher):
    with pytest.raises(ValueError, match="token must not be empty"):
        create_app(matcher, token=" ")
    json.dumps(matcher.matches(np.eye(1, 128), 2))


def test_features_alone_have_no_rating_where_keypoints_are_calibrated(embeddings):
    network, database = embeddings
    calibration = calibration_by_hand(0.0, KEYPOINTS)
    matcher = Matcher(network, with_random_keypoints(database), calibration)
    for match in matcher.matches(np.eye(1, database.features.shape[1]), 2):
        assert match["rating"] == 0.0
        assert match["details"].endswith("; no calibration, so the rating is 0")


@pytest.mark.parametrize("new", [None, 0.0], ids=["closed", "open"])
def test_photos_without_keypoints_have_no_rating(embeddings, new):
    network, database = embeddings
    calibration = calibration_by_hand(new, KEYPOINTS)
    matcher = Matcher(network, with_random_keypoints(database), calibration)
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), "uint8")
    gray, photo = png(np.full((96, 96, 3), 128, "uint8")), png(noise)
    condition = "; if the animal is in the catalog"
    with served(create_app(matcher)) as address:
        response = post(address, gray, gray, headers={})
        assert response.status_code == 422
        assert "no keypoints found, so the animal cannot" in response.json()["detail"]
        matches = post(address, gray, photo, headers={}).json()["matches"]
        assert {match["rating"] is None for match in matches} == {False}
        known = [match for match in matches if match["id"] != "new_individual"]
        for match in known:
            assert match["details"].endswith(condition) == (new is None)
        uploads = [("images[]", ("gray.png", gray))]
        found = httpx.post(f"{address}/compare", files=uploads, timeout=60).json()
    assert [match["rating"] for match in found["matches"]] == [None] * 4
    assert not found["calibrated"] and found["new"] is None
    assert found["note"].startswith("no keypoints found")


def test_a_changed_database_keeps_the_settings(embeddings):
    network, database = embeddings
    database = with_random_keypoints(database)
    matcher = Matcher(network, database, reduce="several", pairs="verified")
    for found in (matcher, matcher.with_database(database.rows(range(4)))):
        names = [scorer.name for scorer in found.search.scorers]
        assert names == ["features", "local, verified"]
        assert found.search.reduce == "several"
