"""The multiple-choice exercises: what is asked, and what each choice is told."""

from collections.abc import Mapping
from dataclasses import dataclass

LETTERS = "abcde"


@dataclass(frozen=True)
class Option:
    """A choice.

    Args:
        text: what can be chosen.
        feedback: why it is right, or what is wrong with it.
        is_right: whether it is right; one of a question is.
    """

    text: str
    feedback: str
    is_right: bool = False


@dataclass(frozen=True)
class Question:
    """A question and its choices, which are named a, b, c, ... in their order."""

    text: str
    options: tuple[Option, ...]

    @property
    def by_letter(self) -> Mapping[str, Option]:
        """The choices by their letters."""
        return dict(zip(LETTERS, self.options, strict=False))


QUESTIONS: dict[str, Question] = {
    "sequence": Question(
        "Slide through the patients of page 0 with the label TC. On which sequence is the rim of the tumour core the "
        "brightest thing in the picture?",
        (
            Option("T1", "on T1 the tumour is a little darker than its surroundings; one has to search for it."),
            Option("T1ce", "the contrast agent collects in the active rim.", is_right=True),
            Option("T2", "on T2 fluid is bright: the swelling, and normal fluid as well."),
            Option("FLAIR", "FLAIR shows the swelling, so the whole tumour; the core does not stand out of it."),
        ),
    ),
    "nothing_harmed": Question(
        "Fine-tuning raised the Dice from 0.80 to 0.81. A colleague says: so nothing was harmed. What do you answer?",
        (
            Option(
                "That is right: the Dice rose.", "Dice is one number for all pixels; harm and repair cancel out in it."
            ),
            Option(
                "Show me how many pixels were harmed and how many repaired, and what two seeds differ in.",
                "many repaired and nearly as many harmed pixels give the same small gain.",
                is_right=True,
            ),
            Option(
                "A gain of a hundredth is too small to matter.",
                "small or large, a mean does not say where pixels were lost.",
            ),
        ),
    ),
    "falling": Question(
        "The loss on the training patients keeps falling, and the Dice on validation patients falls too. What is it?",
        (
            Option(
                "Overfitting.",
                "the network learns its training patients by heart and gets worse on others.",
                is_right=True,
            ),
            Option("A learning rate that is too low.", "then both would improve slowly; here one gets worse."),
            Option("Negative transfer.", "nothing was transferred: the network was trained from fresh weights."),
        ),
    ),
    "longer_training": Question(
        "On page 1's last sliders, longer training repairs many pixels and harms some. Is that negative transfer?",
        (
            Option("Yes: pixels were harmed.", "harm alone is not enough: any two trainings differ in some pixels."),
            Option(
                "Only for patients whose harm is larger than their repair.",
                "the sign of the sum does not matter; no knowledge came from another task.",
            ),
            Option(
                "No: nothing was transferred; any two trainings differ in some pixels.",
                "this is the churn, which page 3 holds the harm of fine-tuning against.",
                is_right=True,
            ),
        ),
    ),
    "base_one": Question(
        "On the sliders over the map set the weighting to power and move the base to 1. What is the map now?",
        (
            Option("0 everywhere.", "1 to the power of anything is not 0."),
            Option("1 everywhere: the plain loss.", "the base is a volume knob for the map.", is_right=True),
            Option("The risk itself.", "that would be the weighting linear; a power of 1 does not see r at all."),
        ),
    ),
    "coin_flip": Question(
        "On the sliders that build a source: at which setting is each solid bar as high as the hatched one beside it, "
        "the class weight?",
        (
            Option(
                "An accuracy of 10 %.", "a source that is mostly wrong knows a lot: it is read the other way round."
            ),
            Option("A foreground of 50 %.", "that makes the classes equally rare; the source still tells them apart."),
            Option(
                "An accuracy of 50 %.",
                "its answer does not depend on the label then, so it knows nothing, and only -log P(y) is left.",
                is_right=True,
            ),
            Option("A confidence of 100 %.", "a source that is sure and mostly right knows a lot."),
        ),
    ),
    "churn": Question(
        "Fine-tuning harmed 6 % of the region. Two networks from scratch on the same patients, with other first "
        "weights, differ "
        "by 5 % of harm. How much harm does transfer do?",
        (
            Option("6 %.", "5 of them are lost without any transfer, between two trainings from scratch."),
            Option("About 1 %: what goes beyond the churn.", "only the excess can be due to transfer.", is_right=True),
            Option("11 %.", "the churn is part of what was counted; it is taken away, not added."),
            Option(
                "None, if as many pixels were repaired.",
                "repair mends other pixels; the harmed ones are wrong all the same.",
            ),
        ),
    ),
    "twin_equal": Question(
        "A map gains 4 points over fine-tuning, and its shuffled twin gains 4 points. What helped?",
        (
            Option("The places of the weights.", "the twin has other places and gains as much."),
            Option(
                "How much weight each class gets.",
                "that is all that the map and its twin share; a good constant per class would do it.",
                is_right=True,
            ),
            Option("Nothing: the two cancel out.", "both lie 4 points above fine-tuning; something helps both."),
        ),
    ),
    "signs": Question(
        "On page 4's sliders two differences can be chosen. In which of them is a number above 0 good news for "
        "transfer?",
        (
            Option(
                "The gap to scratch.", "the gap is scratch minus the arm: above 0 scratch is better, transfer hurts."
            ),
            Option("The gain over fine-tuning.", "above 0 the arm is better than plain fine-tuning.", is_right=True),
            Option("Both.", "one of them is scratch minus the arm, so above 0 the arm is worse."),
        ),
    ),
    "label_or_tune": Question(
        "Suppose that from one to two patients all curves rise by 8 points, and that at two patients the arms lie "
        "within a point, with bars that overlap. You have a day. What do you do?",
        (
            Option("Tune the weights of the map.", "the arms cannot be told apart; there is hardly a point to be won."),
            Option(
                "Label one more patient.", "the step in k is far larger than the distance between arms.", is_right=True
            ),
            Option("Take the arm that is highest at two patients.", "where the bars overlap, the order is chance."),
        ),
    ),
    "gap_sign": Question(
        "A row of page 5 says: gap -2.1 [-3.4, -0.8], p 0.01. The gap is Dice(scratch) - Dice(fine-tuning). What does "
        "it say?",
        (
            Option("Transfer hurts by 2.1 points.", "harm is a gap *above* 0: scratch better than fine-tuning."),
            Option("It is open.", "the interval does not hold 0, and p is below 0.05."),
            Option(
                "Transfer helps by 2.1 points on these patients.", "and the whole interval and p agree.", is_right=True
            ),
            Option("Two per cent of the pixels were harmed.", "a gap is a difference of scores; it counts no pixels."),
        ),
    ),
    "report": Question(
        "You trained five arms. Which score do you report?",
        (
            Option(
                "The best one on test patients: all arms were treated alike.",
                "the arm that varies most profits most from such a choice, without being any better.",
            ),
            Option(
                "That of the arm which is best on validation patients, on test patients, once.",
                "the choice and the estimate come from different patients.",
                is_right=True,
            ),
            Option(
                "The best one on validation patients.",
                "the choice is fair, the number is not: it was picked for being high on just these patients.",
            ),
        ),
    ),
}
