"""A management controller, played by a local server; documents in tests/data/redfish are ours, in DMTF's form."""

import base64
import http.server
import json
import ssl
import threading
from pathlib import Path

import pytest

from hardware.meters.base import MeterUnavailableError
from hardware.meters.node import redfish_client
from hardware.meters.node.redfish import Redfish, power_in

DATA = Path(__file__).parents[4] / "data/redfish"
CHASSIS = json.loads((DATA / "chassis.json").read_text())
POWER = json.loads((DATA / "power_with_parts.json").read_text())
ENVIRONMENT = json.loads((DATA / "environment_metrics.json").read_text())
SELF, RISER = "/redfish/v1/Chassis/Self", "/redfish/v1/Chassis/Riser"
PASSWORD = "s3cret-of-the-bmc"


def link(path):
    return {"@odata.id": path}


class Bmc:
    """Answers by path; every request must bear the account."""

    def __init__(self):
        self.answers = {
            "/redfish/v1/Chassis": CHASSIS,
            SELF: {"Power": link(f"{SELF}/Power")},
            f"{SELF}/Power": POWER,
            RISER: {"Name": "Riser"},
        }
        self.asked = []
        self.connections = 0
        bmc = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                bmc.connections += 1
                super().setup()

            def do_GET(self):
                bmc.asked.append(self.path)
                answer = bmc.answers.get(self.path, 404)
                if self.headers["Authorization"] != f"Basic {base64.b64encode(f'reader:{PASSWORD}'.encode()).decode()}":
                    answer = 401
                if isinstance(answer, str):
                    body, status = b"", 308
                elif isinstance(answer, int):
                    body, status = b"{}", answer
                else:
                    body, status = answer if isinstance(answer, bytes) else json.dumps(answer).encode(), 200
                self.send_response(status)
                if isinstance(answer, str):
                    self.send_header("Location", answer)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def bmc(monkeypatch):
    fake = Bmc()
    setting(monkeypatch, url=fake.url, insecure="1")
    yield fake
    fake.stop()


def setting(monkeypatch, *, url, user="reader", password=PASSWORD, insecure=None):
    for name, value in (("URL", url), ("USER", user), ("PASSWORD", password), ("INSECURE", insecure)):
        if value is None:
            monkeypatch.delenv(f"TOUCHSTONE_REDFISH_{name}", raising=False)
        else:
            monkeypatch.setenv(f"TOUCHSTONE_REDFISH_{name}", value)


def opened(**options):
    meter = Redfish(**options)
    meter.open([])
    return meter


def refused(match, **options):
    with pytest.raises(MeterUnavailableError, match=match) as caught:
        opened(**options)
    assert PASSWORD not in str(caught.value) and "reader" not in str(caught.value)


def test_reads_the_chassis_among_its_parts(bmc):
    meter = opened()
    (reading,) = meter.read()
    assert (reading.source, reading.scope, reading.power_w, reading.raw) == ("node", "node", 2345.0, None)
    asked = len(bmc.asked)
    meter.read()
    assert bmc.asked[asked:] == [f"{SELF}/Power"], "a reading takes one request"
    assert bmc.connections == 1, "the connection is kept"


def test_prefers_the_newer_resource(bmc):
    bmc.answers[SELF] = {"Power": link(f"{SELF}/Power"), "EnvironmentMetrics": link(f"{SELF}/EnvironmentMetrics")}
    bmc.answers[f"{SELF}/EnvironmentMetrics"] = ENVIRONMENT
    assert opened().read()[0].power_w == 2351.5
    bmc.answers[f"{SELF}/EnvironmentMetrics"] = {"PowerWatts": {"Reading": None}}
    assert opened().read()[0].power_w == 2345.0


def test_several_chassis_with_power_are_refused_by_name_and_one_may_be_chosen(bmc, monkeypatch):
    bmc.answers[RISER] = {"EnvironmentMetrics": link(f"{RISER}/EnvironmentMetrics")}
    bmc.answers[f"{RISER}/EnvironmentMetrics"] = ENVIRONMENT
    refused(f"several chassis tell their power: {SELF}, {RISER}; .*TOUCHSTONE_REDFISH_URL")
    monkeypatch.setenv("TOUCHSTONE_REDFISH_URL", f"{bmc.url}{RISER}")
    assert opened().read()[0].power_w == 2351.5
    monkeypatch.setenv("TOUCHSTONE_REDFISH_URL", f"{bmc.url}/redfish/v1/")
    refused("several chassis")


def test_no_chassis_with_power(bmc):
    bmc.answers[f"{SELF}/Power"] = {"PowerControl": [{"Name": "Server", "PowerConsumedWatts": None}]}
    refused(r"no chassis tells its power \(/redfish/v1/Chassis/Self/Power: PowerControl has no single .*: Server\)")
    bmc.answers["/redfish/v1/Chassis"] = {"Members": []}
    refused(r"none has a reading")


def test_many_slow_chassis_do_not_hold_up_the_others(bmc):
    refused("2 chassis could not be looked through in 0 s; put the address", opening_s=0.0)


@pytest.mark.parametrize(
    ("resource", "watts"),
    [
        (POWER, 2345.0),
        (ENVIRONMENT, 2351.5),
        ({"PowerControl": [{"PowerConsumedWatts": 410}]}, 410.0),
        ({"PowerControl": [{"PowerConsumedWatts": 410}, {"PowerConsumedWatts": 95}]}, None),
        ({"PowerControl": [{"PowerConsumedWatts": 0}]}, None),
        ({"PowerControl": [{"PowerConsumedWatts": "410"}]}, None),
        ({"PowerControl": [{"PowerConsumedWatts": True}]}, None),
        ({"PowerControl": [{"PowerConsumedWatts": float("nan")}]}, None),
        ({"PowerControl": [{"PowerConsumedWatts": float("inf")}]}, None),
        ({"PowerControl": "broken"}, None),
        ({"PowerWatts": {"Reading": "N/A"}}, None),
        ({"PowerWatts": {}}, None),
        ({"Allocation": {"AllocatedWatts": 3000}}, None),
    ],
)
def test_what_counts_as_power(resource, watts):
    told = power_in(resource)
    assert told.watts == watts
    assert (told.reason is None) == (watts is not None)


def test_a_reading_that_goes_away_is_null_with_the_text(bmc):
    meter = opened()
    bmc.answers[f"{SELF}/Power"] = {"PowerControl": [{"Name": "Server", "PowerConsumedWatts": None}]}
    (reading,) = meter.read()
    assert reading.power_w is None and "Server" in reading.raw


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"", b"\xff\xfe"])
def test_garbage(bmc, body):
    meter = opened()
    bmc.answers[f"{SELF}/Power"] = body
    with pytest.raises(MeterUnavailableError, match="is no JSON"):
        meter.read()


def test_an_answer_without_end_is_refused(bmc):
    meter = opened()
    bmc.answers[f"{SELF}/Power"] = b" " * (redfish_client.LARGEST_BYTES + 2)
    with pytest.raises(MeterUnavailableError, match="larger than"):
        meter.read()


def test_statuses(bmc, monkeypatch):
    bmc.answers[SELF] = 503
    refused(f"HTTP 503 for {SELF}")
    monkeypatch.setenv("TOUCHSTONE_REDFISH_PASSWORD", "wrong")
    refused(r"the controller refused the account \(HTTP 401")


def test_a_redirect_is_followed_only_at_home(bmc):
    bmc.answers["/redfish/v1/Chassis"] = "/redfish/v1/Chassis/"
    bmc.answers["/redfish/v1/Chassis/"] = CHASSIS
    assert opened().read()[0].power_w == 2345.0
    other = Bmc()
    try:
        bmc.answers["/redfish/v1/Chassis"] = f"{other.url}/redfish/v1/Chassis"
        refused("pointed to another address, which gets no credentials")
        bmc.answers["/redfish/v1/Chassis"] = {"Members": [link(f"{other.url}{SELF}")]}
        refused("pointed to another address")
        assert other.connections == 0
    finally:
        other.stop()
    bmc.answers["/redfish/v1/Chassis"] = "/redfish/v1/Chassis"
    refused("HTTP 308")


def test_proxies_get_nothing(bmc, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert opened().read()[0].power_w == 2345.0


def test_a_connection_that_the_controller_closed_is_opened_anew(bmc):
    meter = opened()
    meter._client._connection.sock.shutdown(2)
    assert meter.read()[0].power_w == 2345.0
    assert bmc.connections == 2


def test_a_controller_that_is_gone_or_hangs(bmc, monkeypatch):
    meter = opened()
    bmc.stop()
    meter._client.close()
    with pytest.raises(MeterUnavailableError, match="no answer for"):
        meter.read()
    with pytest.raises(MeterUnavailableError, match="no answer for"):
        opened()
    with pytest.raises(MeterUnavailableError, match="redfish: not open"):
        Redfish().read()
    deaf = __import__("socket").create_server(("127.0.0.1", 0))
    try:
        monkeypatch.setenv("TOUCHSTONE_REDFISH_URL", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        refused("no answer for .*timed out", timeout_s=0.2)
    finally:
        deaf.close()


def test_the_account_comes_from_the_environment_alone(bmc, monkeypatch):
    setting(monkeypatch, url=bmc.url, user=None, password=None, insecure="1")
    refused("TOUCHSTONE_REDFISH_USER, TOUCHSTONE_REDFISH_PASSWORD not set")
    setting(monkeypatch, url=None)
    refused("TOUCHSTONE_REDFISH_URL not set")
    assert bmc.asked == []


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("bmc.example", "not of the form https://"),
        ("ftp://bmc.example", "not of the form https://"),
        ("https://bmc.example:x", "not of the form https://"),
        (f"https://reader:{PASSWORD}@bmc.example", "holds an account"),
        ("http://bmc.example", "http would send the password in the clear"),
    ],
)
def test_addresses_that_are_refused(monkeypatch, url, match):
    setting(monkeypatch, url=url)
    refused(match)


def test_nothing_of_the_account_stays_after_closing(bmc):
    meter = opened()
    assert PASSWORD not in repr(meter) and PASSWORD not in repr(meter._client)
    meter.close()
    assert meter._client is None


@pytest.fixture
def certificate(tmp_path):
    """For a name that is not the server's, signed by nobody."""
    import datetime

    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bmc.example")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "bmc.pem"
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


def test_the_certificate_is_checked_unless_that_is_switched_off(bmc, certificate, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    bmc.server.socket = context.wrap_socket(bmc.server.socket, server_side=True)
    setting(monkeypatch, url=bmc.url.replace("http:", "https:"))
    refused("its certificate is not believed .*SSL_CERT_FILE")
    assert bmc.asked == [], "nobody got the account"
    monkeypatch.setenv("TOUCHSTONE_REDFISH_INSECURE", "1")
    assert opened().read()[0].power_w == 2345.0
