"""Average precision and F1 of one class, threshold by threshold."""


def plain_average_precision(scores: list[float], labels: list[bool]) -> float:
    """As scikit-learn: the sum of (recall - recall before) times precision, from the highest threshold down."""
    area, recall_before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        said = [label for score, label in zip(scores, labels, strict=True) if score >= threshold]
        recall = sum(said) / sum(labels)
        area += (recall - recall_before) * sum(said) / len(said)
        recall_before = recall
    return area


def plain_f1(logits: list[float], labels: list[bool]) -> float:
    right = sum(logit >= 0 and label for logit, label in zip(logits, labels, strict=True))
    if right == 0:
        return 0.0
    precision, recall = right / sum(logit >= 0 for logit in logits), right / sum(labels)
    return 2 * precision * recall / (precision + recall)
