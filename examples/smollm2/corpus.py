"""Write a corpus of some 2,000 short prompts, whose answers and kinds are known, as JSON lines.

    python examples/smollm2/corpus.py out/smollm2-corpus.jsonl

Every prompt has a `family`, a `subject` (the cluster of prompts that share a fact or a word), a `template`, a
`language` and the expected `answer` (empty for French prompts); some have more, such as `number` or `category`. The
file is the same every time.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

COUNTRIES = """
France|Paris|French|Europe|la France; Germany|Berlin|German|Europe|l'Allemagne; Italy|Rome|Italian|Europe|l'Italie;
Spain|Madrid|Spanish|Europe|l'Espagne; Portugal|Lisbon|Portuguese|Europe|le Portugal;
Austria|Vienna|German|Europe|l'Autriche; Greece|Athens|Greek|Europe|la Grèce; Poland|Warsaw|Polish|Europe|la Pologne;
Hungary|Budapest|Hungarian|Europe|la Hongrie; Sweden|Stockholm|Swedish|Europe|la Suède;
Norway|Oslo|Norwegian|Europe|la Norvège; Denmark|Copenhagen|Danish|Europe|le Danemark;
Finland|Helsinki|Finnish|Europe|la Finlande; Ireland|Dublin|English|Europe|l'Irlande;
Russia|Moscow|Russian|Europe|la Russie; Ukraine|Kyiv|Ukrainian|Europe|l'Ukraine;
Romania|Bucharest|Romanian|Europe|la Roumanie; Bulgaria|Sofia|Bulgarian|Europe|la Bulgarie;
Croatia|Zagreb|Croatian|Europe|la Croatie; Serbia|Belgrade|Serbian|Europe|la Serbie;
Iceland|Reykjavik|Icelandic|Europe|l'Islande; Albania|Tirana|Albanian|Europe|l'Albanie;
Japan|Tokyo|Japanese|Asia|le Japon; China|Beijing|Chinese|Asia|la Chine; Thailand|Bangkok|Thai|Asia|la Thaïlande;
Vietnam|Hanoi|Vietnamese|Asia|le Vietnam; Indonesia|Jakarta|Indonesian|Asia|l'Indonésie;
Iran|Tehran|Persian|Asia|l'Iran; Iraq|Baghdad|Arabic|Asia|l'Irak; Turkey|Ankara|Turkish|Asia|la Turquie;
Mongolia|Ulaanbaatar|Mongolian|Asia|la Mongolie; Nepal|Kathmandu|Nepali|Asia|le Népal;
Bangladesh|Dhaka|Bengali|Asia|le Bangladesh; Syria|Damascus|Arabic|Asia|la Syrie; Jordan|Amman|Arabic|Asia|la Jordanie;
Lebanon|Beirut|Arabic|Asia|le Liban; Egypt|Cairo|Arabic|Africa|l'Égypte; Morocco|Rabat|Arabic|Africa|le Maroc;
Algeria|Algiers|Arabic|Africa|l'Algérie; Tunisia|Tunis|Arabic|Africa|la Tunisie; Libya|Tripoli|Arabic|Africa|la Libye;
Kenya|Nairobi|Swahili|Africa|le Kenya; Ghana|Accra|English|Africa|le Ghana; Nigeria|Abuja|English|Africa|le Nigeria;
Senegal|Dakar|French|Africa|le Sénégal; Angola|Luanda|Portuguese|Africa|l'Angola;
Canada|Ottawa|English|North America|le Canada; Mexico|Mexico City|Spanish|North America|le Mexique;
Cuba|Havana|Spanish|North America|Cuba; Jamaica|Kingston|English|North America|la Jamaïque;
Brazil|Brasília|Portuguese|South America|le Brésil; Argentina|Buenos Aires|Spanish|South America|l'Argentine;
Chile|Santiago|Spanish|South America|le Chili; Peru|Lima|Spanish|South America|le Pérou;
Colombia|Bogotá|Spanish|South America|la Colombie; Venezuela|Caracas|Spanish|South America|le Venezuela;
Uruguay|Montevideo|Spanish|South America|l'Uruguay; Ecuador|Quito|Spanish|South America|l'Équateur;
Australia|Canberra|English|Oceania|l'Australie; Fiji|Suva|English|Oceania|les Fidji
"""
OPPOSITES = """
hot cold, big small, up down, left right, day night, black white, good bad, happy sad, fast slow, high low, old new,
rich poor, hard soft, open closed, full empty, strong weak, long short, wet dry, clean dirty, light dark, early late,
first last, near far, inside outside, above below, love hate, war peace, win lose, buy sell, give take, push pull,
start stop, begin end, true false, visible invisible, male female, king queen, north south, east west, summer winter,
lend borrow, thick thin, wide narrow, deep shallow, sweet sour, polite rude, alive dead, asleep awake, brave cowardly,
cheap expensive, loud quiet, smooth rough, sharp blunt, guilty innocent, easy difficult, safe dangerous,
success failure, friend enemy, question answer, laugh cry, arrive depart, accept reject, increase decrease,
positive negative, major minor, maximum minimum, public private, ancient modern, real fake, forward backward
"""
NOUNS = """
cat dog car book tree house river table chair apple bird horse flower window door pencil teacher student doctor king
queen boat train plane road bridge star planet cloud hand eye ear finger child:children man:men woman:women foot:feet
tooth:teeth mouse:mice goose:geese person:people leaf:leaves knife:knives wolf:wolves wife:wives life:lives box:boxes
bus:buses church:churches dish:dishes brush:brushes city:cities baby:babies story:stories country:countries
family:families party:parties lady:ladies fly:flies hero:heroes potato:potatoes tomato:tomatoes glass:glasses
fox:foxes watch:watches berry:berries spider lion tiger bear rabbit shirt coin stone garden island letter
"""
VERBS = """
walk:walked talk:talked play:played work:worked jump:jumped cook:cooked paint:painted clean:cleaned help:helped
open:opened close:closed move:moved dance:danced smile:smiled live:lived love:loved hope:hoped try:tried carry:carried
study:studied stop:stopped plan:planned go:went see:saw eat:ate drink:drank run:ran swim:swam sing:sang ring:rang
begin:began write:wrote drive:drove ride:rode rise:rose speak:spoke break:broke choose:chose freeze:froze steal:stole
wake:woke give:gave take:took make:made come:came become:became know:knew grow:grew throw:threw fly:flew draw:drew
buy:bought bring:brought think:thought catch:caught teach:taught fight:fought find:found hold:held keep:kept
sleep:slept feel:felt leave:left lose:lost meet:met pay:paid say:said sell:sold send:sent sit:sat stand:stood
feed:fed understand:understood win:won build:built fall:fell forget:forgot hear:heard
"""
AGREEMENT = """
key cabinet, book shelf, picture wall, letter table, child school, teacher student, car garage, bird tree, friend
neighbour, player team, house hill, boat lake, song album, dog park, author novel, window room, road village, tower
city, flower garden, report manager, ship harbour, poem page, farmer field, lamp desk, actor film, soldier general,
nurse doctor, door kitchen, bottle box, idea meeting, horse stable, cloud mountain, train station, star planet,
painting museum, lawyer client, pilot plane, ticket concert, bridge river, tool drawer
"""
NAMES = """
Mary John, Alice Bob, Sarah Tom, Emma James, Anna Peter, Lucy Jack, Kate Paul, Julia Mark, Laura David, Helen Robert,
Susan Michael, Linda Daniel, Karen Steven, Nancy Brian, Rachel Kevin, Amy George, Jane Henry, Grace Oliver, Ruth Samuel,
Rose Arthur, Claire Simon, Diana Martin, Maria Carlos, Sophie Louis, Eva Adam, Nina Victor, Ella Max, Lily Oscar,
Molly Ryan, Ivy Luke
"""
KINDS = """
animal: dog horse cow elephant lion tiger rabbit sheep wolf fox; bird: sparrow eagle robin owl parrot crow hawk duck;
fish: salmon trout shark tuna cod carp; fruit: apple banana pear peach plum cherry mango lemon;
vegetable: carrot cabbage onion spinach broccoli turnip; tool: hammer saw wrench screwdriver drill chisel;
instrument: violin guitar piano flute trumpet drum cello harp; flower: rose tulip daisy lily orchid daffodil;
tree: oak maple pine birch willow elm; metal: iron gold copper silver zinc aluminium;
sport: tennis football hockey golf cricket rugby; planet: Mars Venus Jupiter Saturn Neptune Mercury
"""
SEQUENCES = {
    "days": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "months": "January February March April May June July August September October November December",
    "words": "one two three four five six seven eight nine ten eleven twelve",
    "ordinals": "first second third fourth fifth sixth seventh eighth ninth tenth",
    "letters": "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z",
    "tens": "10 20 30 40 50 60 70 80 90 100",
    "numbers": " ".join(str(number) for number in range(1, 31)),
}
REPEATED = "ocean lamp tiger stone cloud piano forest bottle candle window silver garden rocket pepper dragon marble"

Prompt = dict[str, str]


def prompt(family: str, subject: str, template: str, text: str, answer: str, **more: str) -> Prompt:
    """One line of the corpus; the id is made of the family, the subject and the template."""
    key = "-".join((family, subject, template)).lower().replace(" ", "-").replace("'", "")
    facts = {"family": family, "subject": subject, "template": template, "answer": answer, "language": "en"}
    return {"id": key, "text": text, **(facts | more)}


def pairs(text: str) -> Iterator[tuple[str, str]]:
    """The pairs of words between commas."""
    for item in text.split(","):
        first, second = item.split()
        yield first, second


def forms(text: str) -> Iterator[tuple[str, str]]:
    """Words with a second form: after a colon, or with an s."""
    for item in text.split():
        word, _, other = item.partition(":")
        yield word, other or f"{word}s"


def of_country(french: str) -> str:
    """Put "de" before a country with its article, contracted as in "du Portugal"."""
    for article, contracted in (("le ", "du "), ("les ", "des ")):
        if french.startswith(article):
            return contracted + french.removeprefix(article)
    return f"de {french}"


def countries() -> Iterator[Prompt]:
    for line in COUNTRIES.split(";"):
        name, capital, language, continent, french = line.strip().split("|")
        more = {"continent": continent}
        yield prompt("capital", name, "is", f"The capital of {name} is", f" {capital}", **more)
        yield prompt("capital", name, "called", f"The capital city of {name} is called", f" {capital}", **more)
        question = f"Question: What is the capital of {name}?\nAnswer:"
        yield prompt("capital", name, "question", question, f" {capital}", **more)
        yield prompt("capital", name, "french", f"La capitale {of_country(french)} est", "", **more, language="fr")
        yield prompt("language", name, "people", f"The people of {name} speak", f" {language}", **more)
        yield prompt("language", name, "official", f"The official language of {name} is", f" {language}", **more)
        yield prompt("continent", name, "located", f"{name} is a country located in", f" {continent}", **more)
        yield prompt("continent", name, "continent", f"{name} is on the continent of", f" {continent}", **more)


def words() -> Iterator[Prompt]:
    for word, other in pairs(OPPOSITES):
        subject = f"{word}-{other}"
        yield prompt("opposite", subject, "of", f'The opposite of "{word}" is "', other)
        yield prompt("opposite", subject, "not", f"If it is not {word}, then it is", f" {other}")
        yield prompt("opposite", subject, "reversed", f'The opposite of "{other}" is "', word)
    for word, other in forms(NOUNS):
        number = {"regular": "yes" if other == f"{word}s" else "no"}
        yield prompt("plural", word, "two", f"I had one {word}, and now I have two", f" {other}", **number)
        yield prompt("plural", word, "of", f'The plural of "{word}" is "', other, **number)
    for word, other in forms(VERBS):
        number = {"regular": "yes" if other.endswith("ed") else "no"}
        yield prompt("past", word, "yesterday", f"Today they {word}, and yesterday they", f" {other}", **number)
        yield prompt("past", word, "of", f'The past tense of "{word}" is "', other, **number)
    for group in KINDS.split(";"):
        kind, _, members = group.partition(":")
        kind = kind.strip()
        for word in members.split():
            yield prompt("kind", word, "kind", f"The word '{word}' is the name of a kind of", f" {kind}", category=kind)
            yield prompt("kind", word, "list", f"{word}: a type of", f" {kind}", category=kind)


def agreement() -> Iterator[Prompt]:
    for head, other in pairs(AGREEMENT):
        heads = "children" if head == "child" else f"{head}s"
        for number, noun, verb in (("singular", head, " is"), ("plural", heads, " are")):
            near = f"{other[:-1]}ies" if other.endswith("y") else f"{other}s"
            near = f"{other[:-1]}ves" if other == "shelf" else f"{other}es" if other == "box" else near
            more = {"number": number}
            yield prompt("agreement", head, f"{number}-one", f"The {noun} near the {other}", verb, **more)
            yield prompt("agreement", head, f"{number}-many", f"The {noun} near the {near}", verb, **more)
            yield prompt("agreement", head, f"{number}-old", f"As everybody knows, the very old {noun}", verb, **more)


def names() -> Iterator[Prompt]:
    for first, second in pairs(NAMES):
        for one, two in ((first, second), (second, first)):
            more = {"order": "swapped" if one == second else "as given"}
            subject, shop = f"{first}-{second}", f"When {one} and {two} went to the shop, {two}"
            yield prompt("indirect-object", subject, f"{one}-gave", f"{shop} gave a drink to", f" {one}", **more)
            yield prompt("indirect-object", subject, f"{one}-said", f"{shop} said hello to", f" {one}", **more)
            party = f"After {one} and {two} had left the party, {two} wrote a letter to"
            yield prompt("indirect-object", subject, f"{one}-wrote", party, f" {one}", **more)


def sequences() -> Iterator[Prompt]:
    for kind, text in SEQUENCES.items():
        items = text.split()
        for begin in range(len(items) - 3):
            shown = ", ".join(items[begin : begin + 3]) + ","
            yield prompt("sequence", kind, items[begin], shown, f" {items[begin + 3]}", category=kind)
    for one in range(1, 10):
        for two in range(1, 10):
            subject = f"{one}+{two}"
            yield prompt("sum", subject, "plus", f"{one} + {two} =", f" {one + two}")
            yield prompt("sum", subject, "text", f"The sum of {one} and {two} is", f" {one + two}")
            if one > two:
                yield prompt("difference", f"{one}-{two}", "minus", f"{one} - {two} =", f" {one - two}")
    draw = random.Random(0)
    for number in range(160):
        a, b, c, d = draw.sample(REPEATED.split(), 4)
        yield prompt("induction", f"list-{number}", c, f"{a} {b} {c} {d} {a} {b}", f" {c}")


def corpus() -> list[Prompt]:
    """All prompts, in a fixed order; ids and texts occur once."""
    return [*countries(), *words(), *agreement(), *names(), *sequences()]


def main() -> None:
    path = Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = corpus()
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    print(f"{len(lines):,} prompts in {path}")


if __name__ == "__main__":
    main()
