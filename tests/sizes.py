"""The encoder of most tests: it computes in milliseconds, 16 samples a frame."""

TINY = {
    "encoder_layers": 2,
    "encoder_embed_dim": 16,
    "encoder_ffn_embed_dim": 32,
    "encoder_attention_heads": 2,
    "conv_feature_layers": "[(8, 2, 2)] * 4",
    "conv_pos": 4,
    "conv_pos_groups": 2,
}
