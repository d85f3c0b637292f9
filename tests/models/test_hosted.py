"""Hosted models: addresses, keys, prices, and ids that may change behind their name.

What would break: a key gets into a file or an error, a proxy is asked for a server on this machine,
or a run is billed at another price than its file says.
"""

import logging

import pytest

from montessori.errors import MontessoriError
from montessori.models.address import (
    ModelName,
    ServerAddress,
    VariableName,
    base_url,
    is_loopback,
)
from montessori.models.hosted import (
    HostedModel,
    Prices,
    parse_hosted,
    read_hosted,
    warn_undated,
)

KEY = "sk-very-secret-0123456789"
ROW = {"server": "https://api.example.org/v1", "model": "big-2026-01-01"}


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://api.example.org/v1", None),
        ("http://localhost:8000", None),
        ("http://[::1]:8000/v1", None),
        ("HTTPS://API.EXAMPLE.ORG", None),
        ("api.example.org/v1", "is not an address"),
        ("ftp://example.org", "is not an address"),
        ("https://", "is not an address"),
        ("https://example.org:0/v1", "is not an address"),
        ("https://example.org:99999/v1", "is not an address"),
        ("", "is not an address"),
        ("https://" + "a" * 64 + ".org/v1", "is not an address"),
        ("https://../v1", "is not an address"),
        ("https://example.org./v1", None),
        ("https://example.org/v 1", "holds a blank"),
        ("https://example.org/v1\r\nX-Other: 1", "holds a blank"),
        ("https://example.org/\0", "holds a blank"),
        ("https://example.org\\@other/v1", "holds a blank"),
        ("https://\ud800/v1", "holds a blank"),
        (f"https://me:{KEY}@example.org/v1", "holds credentials"),
        (f"https://{KEY}@example.org/v1", "holds credentials"),
        (f"https://example.org/v1?key={KEY}", "holds credentials"),
        (f"https://example.org/v1#{KEY}", "holds credentials"),
    ],
)
def test_an_address_has_a_scheme_and_a_host_and_no_credentials(url, problem):
    found = ServerAddress().find_problem(url)
    if problem is None:
        assert found is None
    else:
        assert found.startswith(problem)
        assert KEY not in found


@pytest.mark.parametrize("name", ["gpt-4o-2024-08-06", "meta-llama/Llama-3.1-8B", "größe 2"])
def test_a_name_of_a_model_is_printable(name):
    assert ModelName().find_problem(name) is None


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\0b", " a", "\x1b[31m", "\ud800"])
def test_a_name_that_a_table_or_a_terminal_would_obey_is_none(name):
    assert ModelName().find_problem(name)


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "_K", "K2"])
def test_a_variable_in_capitals_is_a_name(name):
    assert VariableName().find_problem(name) is None


@pytest.mark.parametrize("value", [KEY, "openai_api_key", "2K", "A B", "", "A-B"])
def test_what_might_be_a_key_is_no_name_and_is_not_repeated(value):
    problem = VariableName().find_problem(value)
    assert problem.startswith("is not the name of an environment variable")
    assert not value or value not in problem


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1"),
        ("http://localhost:8000/", "http://localhost:8000/v1"),
        ("https://example.org/v1/", "https://example.org/v1"),
        ("https://example.org/openai/v2", "https://example.org/openai/v2"),
    ],
)
def test_an_address_without_a_path_gets_the_usual_one(url, base):
    assert base_url(url) == base


def test_a_server_on_this_machine_is_known_by_its_host_alone():
    here = ["http://localhost:1/v1", "http://127.0.0.1:1", "http://[::1]:1", "https://LOCALHOST"]
    assert all(map(is_loopback, here))
    there = ["http://localhost.example.org", "http://128.0.0.1", "http://example.org/localhost"]
    assert not any(map(is_loopback, there))


# ------------------------------------------------------------------------------------- files
def test_a_folder_without_a_server_file_is_a_real_model(tmp_path):
    assert read_hosted(tmp_path) is None


def test_a_server_file_is_read_with_its_defaults(tmp_path):
    (tmp_path / "server.json").write_text('{"server": "http://localhost:8000", "model": "m"}')
    assert read_hosted(tmp_path) == HostedModel("http://localhost:8000", "m", "OPENAI_API_KEY")


def test_all_problems_of_a_server_file_come_together_without_the_key(tmp_path):
    wrong = {
        "server": f"https://example.org?key={KEY}",
        "model": "",
        "key_env": KEY,
        "usd_per_million": {"input": "cheap", "output": -1},
        "limit": "tokens",
        "api_key": KEY,
    }
    with pytest.raises(MontessoriError) as error:
        parse_hosted(wrong, "big.json")
    text = str(error.value)
    keys = ("server:", "model:", "key_env:", "usd_per_million.input:", "limit:", "api_key:")
    assert all(f"\n  {key}" in text for key in keys)
    assert KEY not in text
    assert "big.json" in text


@pytest.mark.parametrize("value", [[], "text", None, 3])
def test_a_server_file_that_is_no_mapping_is_an_error(value):
    with pytest.raises(MontessoriError, match=r"big\.json"):
        parse_hosted(value, "big.json")


def test_a_price_is_for_a_million_tokens():
    """1,200 tokens at 2.50 USD and 300 at 10 USD a million: 0.003 + 0.003."""
    prices = Prices(input=2.5, output=10.0)
    assert prices.price_in_usd(1200, 300) == pytest.approx(0.006)
    assert prices.price_in_usd(0, 0) == 0.0
    assert parse_hosted(ROW, "x").usd_per_million.price_in_usd(10**6, 10**6) == 0.0


@pytest.mark.parametrize(
    ("model", "warned"),
    [
        ("gpt-4o-2024-08-06", False),
        ("claude-20250219", False),
        ("mistral-large-2411", False),
        ("gpt-4-1106-preview", False),
        ("gpt-4o", True),
        ("llama-3-70b", True),
        ("model-20240199999", True),
    ],
)
def test_a_model_id_without_a_date_is_warned_of(model, warned, caplog):
    warn_undated.cache_clear()
    with caplog.at_level(logging.WARNING):
        warn_undated(model)
        warn_undated(model)
    assert len(caplog.records) == (1 if warned else 0)
    assert all(repr(model) in record.getMessage() for record in caplog.records)
