"""Tiny random models for tests: a Llama, a byte-level tokenizer and the lab's chat template."""

from pathlib import Path

CHAT_TEMPLATE = Path(__file__).parents[1] / "data" / "micro" / "prompts" / "chat_template.jinja"
SPECIAL_TOKENS = ["<|pad|>", "<|user|>", "<|assistant|>", "<|end|>"]
SENTENCES = [
    "Write one new instruction.",
    "Idea: add two numbers.",
    "<instruction>What is 17 plus 25?</instruction>",
    "<follow-up>Now add 3 to that.</follow-up>",
    "Sort these numbers from smallest to largest: 41, 7, 19, 88.",
    "Tom has 12 apples. He buys 7 more. How many apples does he have?",
    "12 + 7 = 19\n#### 19",
    "Spell the word house with hyphens between the letters.",
    "Which is larger, 41 or 17?\nA. 41\nB. 17\nC. 58\nD. 24",
    "What is the next number: 3, 6, 9, 12?",
    "How many minutes are 3 hours and 25 minutes?",
    "What is the opposite of hot? The answer is cold.",
]


def tiny_tokenizer(vocabulary: int = 384):
    """A byte-level BPE tokenizer of `vocabulary` pieces with the lab's special tokens."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\d"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(SENTENCES, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<|end|>",
        pad_token="<|pad|>",
        additional_special_tokens=["<|user|>", "<|assistant|>"],
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )
    tokenizer.chat_template = CHAT_TEMPLATE.read_text(encoding="utf-8")
    return tokenizer


def tiny_llama(path: Path, seed: int = 0, hidden: int = 64, layers: int = 2) -> Path:
    """Save a random fp32 Llama (head dimension 32) with its tokenizer into `path`; return it.

    `hidden` is a multiple of 64 (an even number of heads, half as many key-value heads).
    The weights depend on `seed` alone; the global random state of torch is left as it was.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tiny_tokenizer()
    heads = hidden // 32
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=max(1, heads // 2),
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    path.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path
