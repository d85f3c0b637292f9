"""Near-duplicates, decontamination and form in texts of any script.

What would break: texts without Latin letters are invisible to the filters, so that copies and test
questions stay in the data; or texts that share no more than a Latin word count as copies.
"""

import pytest

from montessori.artifacts.dialogue import build_dialogue
from montessori.errors import MontessoriError
from montessori.filters.contamination import EvalItems
from montessori.filters.eval_items import is_eval_item
from montessori.filters.fingerprint import fingerprint, normalise_text
from montessori.filters.form import FormFilter
from montessori.filters.keeper import Keeper
from montessori.filters.near_duplicates import NearDuplicates
from montessori.filters.rouge import is_latin, rouge_l, split_words
from montessori.filters.words import split_phrases, split_units
from montessori.sources.overlap import check_disjoint, item_members, row_members
from montessori.sources.rows.row import Row
from montessori.writing.collapse import Tally, first_words

#: By language: a question, the same with a word changed at its end, another one on the same thing.
QUESTIONS = {
    "Chinese": (
        "请用Python写一个函数，计算一个列表中所有偶数的平均值，并解释每一步的作用。",
        "请用Python写一个函数，计算一个列表中所有偶数的平均值，并解释每一行的作用。",
        "为什么很多科学家喜欢Python？说说这门语言在数据分析方面有哪些优点和缺点。",
    ),
    "Japanese": (
        "次の文章を読んで、主人公がなぜ故郷に帰ることを決めたのか説明してください。",
        "次の文章を読んで、主人公がなぜ故郷に帰ることを決めたか説明してください。",
        "東京タワーの高さは何メートルですか。エッフェル塔と比べて答えましょう。",
    ),
    "Thai": (
        "ช่วยอธิบายว่าทำไมท้องฟ้าจึงเป็นสีฟ้าในตอนกลางวันและเป็นสีแดงในตอนเย็น",
        "ช่วยอธิบายว่าทำไมท้องฟ้าจึงเป็นสีฟ้าในตอนกลางวันและเป็นสีส้มในตอนเย็น",
        "เขียนบทกวีสั้นเกี่ยวกับแม่น้ำเจ้าพระยาและวิถีชีวิตของผู้คนริมฝั่ง",
    ),
    "Hindi": (
        "एक किसान के पास सत्रह भेड़ें थीं और नौ को छोड़कर सब मर गईं तो अब उसके पास कितनी बची हैं?",
        "एक किसान के पास सत्रह भेड़ें थीं और नौ को छोड़कर सब मर गईं तो अब उसके पास कितनी बचीं?",
        "भारत के संविधान में मौलिक अधिकारों का वर्णन किस भाग में है और वे क्यों ज़रूरी हैं?",
    ),
    "Arabic": (
        "اكتب رسالة قصيرة إلى صديقك تشرح فيها لماذا قررت أن تتعلم لغة جديدة هذا العام مع أسرتك",
        "اكتب رسالة قصيرة إلى صديقك تشرح فيها لماذا قررت أن تتعلم لغة جديدة هذا العام مع عائلتك",
        "ما هي أسباب سقوط الدولة الأموية وكيف قامت الدولة العباسية بعدها في بغداد؟",
    ),
    "Russian": (
        "Напиши короткое письмо другу и объясни, почему ты решил в этом году выучить новый язык.",
        "Напиши короткое письмо другу и объясни, почему ты решил в этом году учить новый язык.",
        "Сколько граммов соли нужно растворить в литре воды, чтобы получить раствор в 5%?",
    ),
    "Korean": (
        "다음 글을 읽고 주인공이 왜 고향으로 돌아가기로 결심했는지 자세히 설명해 주세요.",
        "다음 글을 읽고 주인공이 왜 고향으로 돌아가기로 결심했는지 간단히 설명해 주세요.",
        "서울과 부산 사이의 거리는 몇 킬로미터이고 기차로 가면 얼마나 걸립니까?",
    ),
    "Greek": (
        "Γράψε ένα σύντομο γράμμα σε έναν φίλο και εξήγησε γιατί αποφάσισες να μάθεις μια γλώσσα.",
        "Γράψε ένα σύντομο γράμμα σε έναν φίλο και εξήγησε γιατί αποφάσισες να μάθεις μία γλώσσα.",
        "Πόσα χιλιόμετρα απέχει η Αθήνα από τη Θεσσαλονίκη και πόση ώρα κάνει το τρένο;",
    ),
    "mixed": (
        "Translate into English and explain the grammar: 我昨天去图书馆借了三本书 (with pinyin).",
        "Translate into German and explain the grammar: 我昨天去图书馆借了三本书 (with pinyin).",
        "Translate into English and explain the grammar: 明天下午我们在公园见面吧 (with pinyin).",
    ),
}
languages = pytest.mark.parametrize("language", QUESTIONS)


@languages
def test_copies_are_found_and_other_texts_are_kept(language):
    text, changed, other = QUESTIONS[language]
    near = NearDuplicates(0.7)
    near.add(text)
    assert near.near(text)
    assert near.near(changed)
    assert not near.near(other)
    assert 0.8 < rouge_l(split_words(text), split_words(changed)) < 1
    exact = NearDuplicates(0.99)
    exact.add(text)
    assert exact.near(f"  {text} 😀!\n")
    assert not exact.near(changed)


@languages
def test_a_long_item_is_found_in_a_longer_text_and_no_other_is(language):
    text, _, other = QUESTIONS[language]
    items = EvalItems(8)
    items.add("item", (text,))
    assert items.matched_by((f"Solve: {other} {text.upper()}\n{other}",)) == "item"
    assert items.held_by(["?", f"{other}{text}"]) == "item"
    middle = text[2:-2]
    assert items.held_by([f"123 {middle} 456"]) == "item"
    assert items.matched_by((other,)) is None


#: Short questions, of fewer than 20 words or 40 characters.
SHORT = {
    "Chinese": "中国的首都是哪里？",
    "Japanese": "日本の首都はどこですか",
    "Thai": "เมืองหลวงของประเทศไทยคืออะไร",
    "Burmese": "မြန်မာနိုင်ငံ၏ မြို့တော်ကား အဘယ်နည်း",
    "Khmer": "តើទីក្រុងណាជារដ្ឋធានីនៃប្រទេសកម្ពុជា",
    "Hindi": "भारत की राजधानी क्या है?",
    "Arabic": "ما هي عاصمة مصر؟",
    "Hebrew": "מהי עיר הבירה של ישראל?",
    "Russian": "Какой город — столица России?",
    "Korean": "대한민국의 수도는 어디입니까?",
    "Greek": "Ποια είναι η πρωτεύουσα της Ελλάδας;",
    "German": "Was heißt „Größe“ auf Französisch?",
}


@pytest.mark.parametrize("language", SHORT)
def test_a_short_item_is_found_as_a_turn_and_as_a_sentence(language):
    text = SHORT[language]
    items = EvalItems(20)
    items.add("item", (text,))
    for turns in ((f" {text} ",), ("Hi!", text), (f"Q: {text} A:",), (f"1. {text}\n2. X",)):
        assert items.matched_by(turns) == "item"
    assert items.held_by([text]) is None
    others = [other for name, other in SHORT.items() if name != language]
    assert items.matched_by(others) is None
    assert items.matched_by((text.rstrip("?؟;？") + text[:4],)) is None


def test_a_blank_ends_a_phrase_where_words_have_none_between_them():
    items = EvalItems(20)
    items.add("item", (SHORT["Thai"],))
    assert items.matched_by((f"ช่วยตอบคำถามนี้หน่อย {SHORT['Thai']} ขอบคุณ",)) == "item"
    assert split_phrases("请回答 你好。用 Python 写") == [
        ["请", "回", "答"],
        ["你", "好"],
        ["用"],
        ["python"],
        ["写"],
    ]
    assert split_phrases('Say so, then: "it\'s a_b"\nNow') == [
        ["say", "so"],
        ["then"],
        ["it", "s", "a_b"],
        ["now"],
    ]


def test_two_characters_count_as_a_word():
    text = "床前明月光疑是地上霜举头望明月低头思故乡"  # 20 characters
    for ngram, match in ((10, "item"), (11, None)):
        items = EvalItems(ngram)
        items.add("item", (text,))
        assert items.held_by([f"背诵{text}吧"]) == match
    items = EvalItems(5)
    items.add("item", ("用 Python 3 写一个函数",))  # 3 words more than weigh as much as 10
    assert items.held_by(["请用Python 3写一个函数吧"]) == "item"
    assert items.held_by(["请用Python 3写一组函数吧"]) is None
    assert items.held_by(["Python 3写一个"]) is None


def test_every_turn_of_a_row_is_looked_at():
    items = EvalItems(20)
    items.add("short", (SHORT["Chinese"],))
    items.add("long", (QUESTIONS["Chinese"][0] + QUESTIONS["Chinese"][2],))
    row = build_dialogue(["你好", "谢谢"], ["您好！", "不客气"])
    assert not is_eval_item(row, items, frozenset())
    for place in range(4):
        changed = [dict(message) for message in row]
        changed[place]["content"] = SHORT["Chinese"]
        assert is_eval_item(changed, items, frozenset())
        changed[place]["content"] = f"答：{QUESTIONS['Chinese'][0]}{QUESTIONS['Chinese'][2]}"
        assert is_eval_item(changed, items, frozenset())
    prompt = {"role": "system", "content": f"你是老师。问题：{SHORT['Chinese']}"}
    assert is_eval_item([prompt, *row], items, frozenset())
    prompt["content"] = "你是老师。"
    assert not is_eval_item([prompt, *row], items, frozenset())


def test_a_set_of_rows_may_not_hold_an_item_in_an_answer_or_a_system_prompt():
    items = {"test items": item_members({"b": [{"item_id": "x", "turns": [SHORT["Arabic"]]}]})}
    clean = Row(("مرحبا",), ("أهلا",), where="row 1")
    check_disjoint({"seed pool": row_members([clean])}, items, 20)
    answered = Row(("مرحبا", "شكرا"), (SHORT["Arabic"], "عفوا"), where="row 2")
    with pytest.raises(MontessoriError, match="row 2 = x"):
        check_disjoint({"seed pool": row_members([answered])}, items, 20)
    prompted = clean._replace(system=f"أنت معلم: {SHORT['Arabic']}", where="row 3")
    with pytest.raises(MontessoriError, match="row 3 = x"):
        check_disjoint({"seed pool": row_members([prompted])}, items, 20)


def test_latin_texts_are_split_as_by_rouge_score():
    for text in ("Größe naïve nai\u0308ve", "Đà Nẵng ở đâu?", "5 µm, 2² — “ﬁn” 😀", "Hawaiʻi"):
        tokenize = pytest.importorskip("rouge_score.tokenize").tokenize
        assert is_latin(text)
        assert split_words(text) == tokenize(text, None)
    for text in ("Größe 大", "alpha α", "Ｐｙｔｈｏｎ", "𝐇𝐢", "٣"):
        assert not is_latin(text)
        assert split_words(text)


def test_units_are_words_with_their_marks_or_characters():
    assert split_words("नमस्ते दुनिया") == split_units("नमस्ते दुनिया") == ["नमस्ते", "दुनिया"]
    assert split_units("กี่ปี") == ["กี่", "ปี"]
    assert split_words("서버는 Python으로") == ["서버는", "python", "으로"]
    assert split_units("サーバーｻｰﾊﾞｰ々") == ["サ", "ー", "バ", "ー"] * 2 + ["々"]
    assert split_units("Größe nai\u0308ve a_b don’t") == ["grösse", "naïve", "a_b", "don", "t"]
    assert split_units("می‌خواهم") == ["میخواهم"]
    assert split_units("2⁵ ≠ 25") == ["2⁵", "25"]
    assert split_words("😀 👨‍👩‍👧!") == split_units("😀 👨‍👩‍👧!") == []


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("请 用 Python 写。", "请用ｐｙｔｈｏｎ写", True),
        ("«Что это?»", "что это", True),
        ("¿Qué es?", "QUE\u0301 ES", True),
        ("สวัสดี ครับ", "สวัสดีครับ", True),
        ("2⁵是多少？", "25是多少？", False),
        ("😀", "😂", False),
        ("क्या है", "क्यों है", False),
        ("Что это", "Что то", False),
    ],
)
def test_equal_texts_in_any_script(one, other, equal):
    assert (normalise_text(one) == normalise_text(other)) is equal
    assert (fingerprint([one, "x"]) == fingerprint([other, "x"])) is equal


@pytest.mark.parametrize("language", [name for name in QUESTIONS if name != "mixed"])
def test_the_form_asked_for_by_default_lets_every_script_pass(language):
    form = FormFilter(6, 400, ("image", "picture"), first_character=True, broken_text=True)
    assert [form.problem(text) for text in QUESTIONS[language]] == [None] * 3
    keeper = Keeper(form, 0.95)
    keeper.add((QUESTIONS[language][0],))
    assert keeper.problem((QUESTIONS[language][0] + "!",)) == "duplicate"
    assert keeper.problem((QUESTIONS[language][2],)) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("写一首诗", None),  # four wide characters count as eight
        ("写诗", "short"),
        ("Что", "short"),
        ("请看图片并回答", "banned word"),
        ("看image文件吧", "banned word"),
        ("用Python图片库", "banned word"),
        ("एक फल बताओ", "banned word"),
        ("फलों का नाम बताओ", None),
        ("«Что это такое?»", "first character"),
        ("١٢ + ٣ = ?", None),
        ("😀 is what?", "first character"),
        ("Élan is what?", "first character"),
    ],
)
def test_the_form_of_other_scripts(text, problem):
    form = FormFilter(6, 60, ("image", "图片", "फल"), first_character=True)
    assert form.problem(text) == problem


def test_rows_that_begin_alike_are_told_in_any_script():
    assert first_words("请写一首关于春天的诗") == first_words("请写一首关于秋天的诗，要押韵")
    assert first_words("请写一首诗") != first_words("请问现在几点")
    assert first_words("Напиши стихи о море") == "напиши стихи о"
    assert first_words("Write  a poem, please") == "write a poem,"
    tally = Tally()
    rows = [f"请写一首关于{thing}的诗" for thing in "春夏秋冬"]
    tally.add_samples(rows, [None] * 4, rows)
    assert tally.compute_shares()["largest_family"] == 1


def test_characters_are_not_compared_with_every_earlier_text():
    near = NearDuplicates(0.7)
    for number in range(300):
        near.add("".join(chr(0x4E00 + (number * 37 + place * place) % 3000) for place in range(60)))
    near.compared = 0
    assert near.near("".join(chr(0x4E00 + (50 * 37 + place * place) % 3000) for place in range(60)))
    assert near.compared < 30
