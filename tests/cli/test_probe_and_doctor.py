"""`autoplace probe`, `doctor` and `backbones`: the documents they promise."""

from __future__ import annotations

import pandas as pd
import pytest

import autoplace
from autoplace.adapters import list_adapters
from autoplace.placement import Edge
from autoplace.procedures import list_procedures

SMALL = ("--probe-images", "24")


@pytest.fixture(scope="module")
def probed(cli, predictor, image_folder, tmp_path_factory):
    """`probe --json` in a folder of its own, and that folder."""
    here = tmp_path_factory.mktemp("probe")
    done = cli("probe", image_folder, *SMALL, "--predictor", predictor, "--json", cwd=here)
    return done, here


def test_the_document_holds_all_edges_best_predicted_first(probed):
    done, _ = probed
    assert done.code == 0, done.err
    edges = done.document["edges"]
    assert {edge["edge"] for edge in edges} == {f"{i}>{j}" for i in range(25) for j in range(25)}
    assert len(edges) == 625
    predicted = [edge["predicted"] for edge in edges]
    assert predicted == sorted(predicted, reverse=True)
    assert predicted[0] > predicted[-1]
    for edge in edges:
        assert edge["kind"] == Edge.parse(edge["edge"]).kind
        assert edge["gradient_rank"] >= 0


def test_the_four_tables_and_the_heat_maps_are_written_and_nothing_else(probed):
    _, here = probed
    found = {path.relative_to(here).as_posix() for path in here.rglob("*") if path.is_file()}
    names = ("edges.parquet", "nodes.parquet", "task.parquet", "sites.parquet", "probe.png")
    assert found == {f"autoplace-probe/{name}" for name in names}
    rows = [len(pd.read_parquet(here / "autoplace-probe" / name)) for name in names[:4]]
    assert rows == [625, 25, 1, 12 * 8]


def test_the_document_holds_the_maps_of_every_sub_layer(probed):
    sites = probed[0].document["sites"]
    assert [site["map"] for site in sites if site["node"] == 3] == ["norm", "q", "k", "v", "o"]
    assert [site["map"] for site in sites if site["node"] == 24] == ["norm", "fc1", "fc2"]
    for site in sites:
        assert site["gamma_norm"] > 0 <= site["beta_norm"]
        assert (site["frobenius_norm"] is None) == (site["map"] == "norm")


def test_people_get_the_best_edges_as_a_table_and_the_folder_they_chose(
    cli, predictor, image_folder, probed, tmp_path
):
    done = cli(
        "probe", image_folder, *SMALL, "--predictor", predictor, "--out", "maps", cwd=tmp_path
    )
    assert done.code == 0, done.err
    best = probed[0].document["edges"][0]["edge"]
    assert f"\n{best} " in done.out
    assert (tmp_path / "maps" / "probe.png").is_file()


def test_python_gives_what_the_command_gives_also_the_second_time(
    predictor, image_folder, probed, tmp_path
):
    result = autoplace.probe(
        str(image_folder), probe_images=24, predictor=str(predictor),
        store=f"sqlite:///{tmp_path}/mlflow.db",
    )  # fmt: skip
    assert result.to_dict() == probed[0].document
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_tells_versions_device_and_store_without_making_it(cli, tmp_path):
    done = cli("doctor", "--json", cwd=tmp_path)
    told = done.document
    assert {"versions", "device", "store", "problems"} <= set(told)
    assert {"python", "torch", "timm", "mlflow", "lightgbm"} <= set(told["versions"])
    assert told["device"] in ("cpu", "cuda")
    assert told["store"] == f"sqlite:///{tmp_path}/autoplace-store/mlflow.db"
    assert done.code == (1 if told["problems"] else 0)
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_names_a_store_that_is_ill_but_never_its_password(cli, tmp_path):
    done = cli("doctor", "--json", "--store", "postgresql://me:secret@127.0.0.1:9/db", cwd=tmp_path)
    assert done.code == 1
    assert done.document["store"] == "postgresql://me:***@127.0.0.1:9/db"
    assert any("127.0.0.1:9" in problem for problem in done.document["problems"])
    assert "secret" not in done.out + done.err


def test_backbones_are_listed_with_their_nodes_and_edges(cli, tmp_path):
    (starter,) = cli("backbones", "starter", "--json", cwd=tmp_path).document
    assert (starter["n_nodes"], starter["n_edges"]) == (25, 625)
    for_people = cli("backbones", "starter", cwd=tmp_path).out.splitlines()[-1].split()
    assert for_people[:5] == ["starter", "25", "625", "96", "32x32"]


def test_a_pattern_that_no_backbone_matches_is_refused(cli, tmp_path):
    done = cli("backbones", "starling*", cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "no backbone matches 'starling*'" in done.err


def test_adapter_kinds_are_listed_with_options_parameters_and_papers(cli, tmp_path):
    found = {info["name"]: info for info in cli("adapters", "--json", cwd=tmp_path).document}
    assert set(found) == set(list_adapters())
    for info in found.values():
        assert set(info) == {
            "name", "options", "parameters", "edge_kinds", "mergeable", "paper",
        }  # fmt: skip
        assert info["edge_kinds"]
        assert info["parameters"]
    assert found["lora"]["mergeable"]
    assert found["lora"]["edge_kinds"] == ["parallel"]
    assert found["bottleneck"]["parameters"]["mlp"] == 8 * (2 * 768 + 1)
    assert "lora" in cli("adapters", "lo*", cwd=tmp_path).out
    unknown = cli("adapters", "lorra", cwd=tmp_path)
    assert unknown.code == 2
    assert "no adapter kind matches 'lorra'" in unknown.err


def test_procedures_are_listed_with_options_and_papers(cli, tmp_path):
    found = {info["name"]: info for info in cli("procedures", "--json", cwd=tmp_path).document}
    assert set(found) == set(list_procedures())
    for info in found.values():
        assert set(info) == {"name", "does", "options", "paper"}
        assert all(info.values())
    assert found["prune"]["options"]["score"] == "snip"
    shown = cli("procedures", "s*", cwd=tmp_path).out
    assert "rate=0.5" in shown
    assert "prune:" not in shown
    unknown = cli("procedures", "prone", cwd=tmp_path)
    assert unknown.code == 2
    assert "no procedure matches 'prone'" in unknown.err
