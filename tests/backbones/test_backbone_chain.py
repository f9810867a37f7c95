"""What a chain promises beyond its arithmetic: frozen, checked at the door, refused if it lies."""

from __future__ import annotations

import copy

import pytest
import timm
import torch

from autoplace.backbones import BackboneError, ResidualChain, create_chain

REFUSED = {
    "resnet10t": "ResNet",
    "test_convnext": "ConvNeXt",
    "swin_tiny_patch4_window7_224": "SwinTransformer",
    "vit_base_patch16_xp_224": "ParallelScalingBlock",
    "vit_pwee_patch16_reg1_gap_256": "ParallelScalingBlock",
    "cait_xxs24_224": "LayerScaleBlock",
    "xcit_nano_12_p16_224": "XCABlock",
    "mixer_s32_224": "MixerBlock",
}


def build_vit(**overrides):
    torch.manual_seed(0)
    settings = {"depth": 2, "embed_dim": 48, "num_heads": 3, "img_size": 32, **overrides}
    return timm.create_model("vit_tiny_patch16_224", **settings)


@pytest.fixture
def chain():
    return ResidualChain(build_vit(), name="small")


@pytest.mark.parametrize(("name", "culprit"), REFUSED.items())
def test_a_backbone_that_is_no_residual_chain_is_refused_by_name(name, culprit):
    with pytest.raises(BackboneError) as refusal:
        create_chain(name)  # before any weights are fetched
    message = str(refusal.value)
    assert repr(name) in message
    assert culprit in message
    assert "supported are" in message
    assert len(message.splitlines()) <= 2


class RoutedAround(timm.models.VisionTransformer):
    """Skips its second block, so that the stack of blocks is not what it computes."""

    def forward_features(self, x, **kwargs):
        return self.norm(self.blocks[0](self._pos_embed(self.patch_embed(x))))


class BatchBound(timm.models.VisionTransformer):
    """Hands its blocks a mask that follows the images."""

    def forward_features(self, x, **kwargs):
        mask = x.mean() * torch.ones(5, 5)
        x = self._pos_embed(self.patch_embed(x))
        for block in self.blocks:
            x = block(x, attn_mask=mask)
        return self.norm(x)


@pytest.mark.parametrize(
    ("model", "reason"),
    [(RoutedAround, "differs from timm's output"), (BatchBound, "'attn_mask' depends on")],
)
def test_a_model_whose_chain_is_not_its_computation_is_refused(model, reason):
    built = model(img_size=32, patch_size=16, embed_dim=48, depth=2, num_heads=3)
    with pytest.raises(BackboneError, match=reason):
        ResidualChain(built, name="liar")


def test_a_chain_without_pooled_features_is_refused():
    with pytest.raises(BackboneError, match="no pooled features"):
        ResidualChain(build_vit(global_pool="", num_classes=0), name="unpooled")


def test_broken_weights_are_refused():
    model = build_vit()
    torch.nn.init.constant_(model.norm.weight, float("nan"))
    with pytest.raises(BackboneError, match="weights are broken"):
        ResidualChain(model, name="broken")


def test_a_chain_is_frozen_and_stays_in_evaluation_mode():
    chain = ResidualChain(build_vit(drop_path_rate=0.5, proj_drop_rate=0.5), name="small")
    chain.train()
    assert not any(module.training for module in chain.modules())
    assert not any(parameter.requires_grad for parameter in chain.parameters())


def test_images_of_another_size_are_refused(chain):
    with pytest.raises(BackboneError, match=r"takes images \(batch, 3, 32, 32\)"):
        chain.embed(torch.zeros(1, 3, 48, 48))


@pytest.mark.parametrize("k", [0, 5, -1])
def test_a_step_outside_the_chain_is_an_index_error(k, chain):
    with pytest.raises(IndexError, match=r"1\.\.4"):
        chain.step(k, torch.zeros(1, 5, 48))


def test_embedding_leaves_no_hook_behind(chain):
    images = torch.zeros(1, 3, 32, 32)
    chain.embed(images)
    assert torch.equal(chain.model(images), chain(images))


def test_the_data_config_follows_the_size_that_the_model_was_built_for(chain):
    assert chain.data_config["input_size"] == (3, 32, 32)


def test_a_chain_with_rotary_embeddings_can_be_copied_and_cast():
    model = timm.create_model(
        "eva02_tiny_patch14_224", depth=2, embed_dim=48, num_heads=3, img_size=56
    )
    chain = ResidualChain(model, name="eva")
    images = torch.rand(2, 3, 56, 56)
    expected = chain(images)
    doubled = copy.deepcopy(chain).double()
    torch.testing.assert_close(doubled(images.double()).float(), expected)
    assert torch.equal(chain(images), expected)


def test_the_fingerprint_follows_the_weights_alone():
    one, same = (ResidualChain(build_vit(), name=name) for name in ("one", "same"))
    assert one.weights_sha256 == same.weights_sha256
    model = build_vit()
    model.norm.bias.data[0] += 1e-3
    assert ResidualChain(model, name="one").weights_sha256 != one.weights_sha256
