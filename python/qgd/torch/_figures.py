"""What the loggers of a host are told of a controller."""

#: Numbers of the actions: loggers draw numbers alone.
ACTIONS = {"halve": -1, "accept": 0, "grow": 1}


def figures(controller, name="qgd"):
    """What a `QController` is at: a dict of numbers, with `name` and a slash before its keys.

    lr: the learning rate of the last step. action: of the last decision, -1 (halve), 0 (accept) or 1 (grow). rollbacks
    and broken_batches: how many there were so far. weight_decay: where the controller moves it.
    """
    decision = controller.last_decision() or {}
    action = (decision.get("action") or {}).get("lr", "accept")
    lr = controller._lr
    told = {
        # Of the next step, in a cooldown, it is another one.
        "lr": lr.written[lr.reference] if controller.moves_lr else controller.lr,
        "action": ACTIONS[action],
        "rollbacks": controller.rollbacks,
        "broken_batches": controller.broken_batches,
    }
    if controller.moves_weight_decay:
        told["weight_decay"] = controller.weight_decay
    return {f"{name}/{key}": value for key, value in told.items()}
