"""`qgd.hf.Trainer` on tiny nets of transformers, with random weights."""

import pytest
from conftest import in_two_processes, need

torch = need("torch")
transformers = need("transformers")
need("accelerate")

import qgd  # noqa: E402
import qgd.hf  # noqa: E402
from test_torch import same, values  # noqa: E402

VOCABULARY = 8


def texts(n=64, length=16):
    """Sequences that count up: each token is the one before plus 1."""
    starts = torch.arange(n) % VOCABULARY
    tokens = (starts[:, None] + torch.arange(length)) % VOCABULARY
    return [{"input_ids": row, "labels": row} for row in tokens]


def gpt2(seed=0):
    torch.manual_seed(seed)
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY, n_positions=16, n_embd=16, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )
    return transformers.GPT2LMHeadModel(config)


def trainer_of(folder, model=None, cls=qgd.hf.Trainer, optimizers=(None, None), data=None, extra=None, **settings):
    settings = {"learning_rate": 1e-5, "max_steps": 100, "logging_steps": 10, **settings}
    args = transformers.TrainingArguments(
        output_dir=str(folder), per_device_train_batch_size=16, report_to=[], disable_tqdm=True, use_cpu=True,
        save_strategy=settings.pop("save_strategy", "no"), dataloader_pin_memory=False, **settings,
    )
    model = gpt2() if model is None else model
    return cls(model, args, train_dataset=texts() if data is None else data, optimizers=optimizers, **(extra or {}))


def test_one_word_more_and_a_hopeless_rate_is_found(tmp_path):
    trainer = trainer_of(tmp_path)
    trainer.train()
    logs = [log for log in trainer.state.log_history if "loss" in log]
    plain = trainer_of(tmp_path, cls=transformers.Trainer)
    plain.train()
    plain_logs = [log for log in plain.state.log_history if "loss" in log]
    assert logs[-1]["loss"] < 0.8 * plain_logs[-1]["loss"], (logs[-1], plain_logs[-1])
    assert trainer.controller.steps == 100 and trainer.controller._options["steps_per_epoch"] == 4
    assert all(log["learning_rate"] == log["qgd/lr"] for log in logs) and logs[-2]["qgd/lr"] > 1e-4
    assert {log["qgd/action"] for log in logs} <= {-1, 0, 1}
    assert logs[-1]["qgd/rollbacks"] == trainer.controller.rollbacks


def test_the_controller_sees_the_losses_that_are_logged(tmp_path):
    opt_of = lambda model: qgd.QController(torch.optim.SGD(model.parameters(), lr=1e-3), "always-accept")  # noqa: E731
    for accumulated in (1, 4):
        model = gpt2()
        opt, decisions = opt_of(model), []
        opt.on_decision(decisions.append)
        trainer = trainer_of(
            tmp_path, model, optimizers=(opt, None), max_steps=3, logging_steps=1,
            gradient_accumulation_steps=accumulated,
        )
        trainer.train()
        assert trainer.controller is opt and opt.steps == 3
        losses = [log["loss"] for log in trainer.state.log_history if "loss" in log]
        assert decisions[0]["loss"] == pytest.approx(losses[0], rel=1e-3)
        assert losses[0] == pytest.approx(2.1, abs=0.2)


def test_a_policy_that_accepts_equals_the_plain_trainer(tmp_path):
    models = []
    for cls, extra in [(transformers.Trainer, {}), (qgd.hf.Trainer, {"controller": "always-accept"})]:
        trainer = trainer_of(
            tmp_path, cls=cls, extra=extra, learning_rate=1e-3, lr_scheduler_type="constant", max_steps=20,
            max_grad_norm=0.1, gradient_accumulation_steps=2, weight_decay=0.1, num_train_epochs=1,
        )
        trainer.train()
        models.append(trainer.model)
    assert same(values(models[0]), values(models[1]))


def test_a_resumed_run_goes_on_to_the_bit(tmp_path):
    whole = trainer_of(tmp_path, save_strategy="steps", save_steps=30, max_steps=60)
    whole.train()
    resumed = trainer_of(tmp_path, gpt2(seed=5), max_steps=60)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-30"))
    assert resumed.controller.steps == 60 and resumed.controller.counts == whole.controller.counts
    assert same(values(whole.model), values(resumed.model))


def test_a_second_training_gets_a_controller_of_its_own(tmp_path):
    trainer = trainer_of(tmp_path, max_steps=60)
    trainer.train()
    first, cooled = trainer.controller, trainer.controller.param_groups[0]["lr"]
    trainer.train()
    logs = [log for log in trainer.state.log_history if "loss" in log]
    assert trainer.controller is not first and trainer.controller.steps == 60
    assert max(log["qgd/lr"] for log in logs) > cooled and logs[-1]["loss"] < 1.5


@pytest.mark.parametrize("optim", ["schedule_free_adamw", "schedule_free_sgd", "schedule_free_radam"])
def test_schedule_free_by_its_name_is_as_without_a_controller(tmp_path, optim):
    need("schedulefree")
    models = []
    for cls, extra in [(transformers.Trainer, {}), (qgd.hf.Trainer, {"controller": "always-accept"})]:
        models.append(gpt2())
        trainer = trainer_of(
            tmp_path, models[-1], cls, extra=extra, optim=optim, learning_rate=1e-3, max_steps=20,
            lr_scheduler_type="constant", eval_strategy="no",
        )
        trainer.train()
    assert same(*map(values, models)) and not same(values(gpt2()), values(models[0]))


def test_a_scheduler_of_the_user_is_multiplied(tmp_path):
    model = gpt2()
    base = torch.optim.AdamW(model.parameters(), lr=1e-4)
    opt = qgd.QController(base)
    scheduler = torch.optim.lr_scheduler.LambdaLR(opt, lambda step: 0.5)
    trainer = trainer_of(tmp_path, model, optimizers=(opt, scheduler), max_steps=40)
    trainer.train()
    last = [log for log in trainer.state.log_history if "loss" in log][-1]
    assert last["learning_rate"] == 0.5e-4 and last["qgd/lr"] > 1e-3


def test_bf16_and_other_losses(tmp_path):
    trainer = trainer_of(tmp_path, bf16=True, label_smoothing_factor=0.1, max_steps=60)
    trainer.train()
    assert trainer.controller.steps == 60 and trainer.controller.counts["grow"] > 0


def test_the_weight_decay_is_moved_by_the_validation_loss(tmp_path):
    trainer = trainer_of(
        tmp_path, extra={"controller": "joint", "eval_dataset": texts(16)}, learning_rate=1e-3, weight_decay=0.01,
        eval_strategy="steps", eval_steps=5, max_steps=60,
    )
    trainer.train()
    last = [log for log in trainer.state.log_history if "loss" in log][-1]
    assert last["qgd/weight_decay"] == trainer.controller.weight_decay != 0.01


def test_the_mixin_makes_a_controlled_trainer_of_any_other(tmp_path):
    class Doubled(transformers.Trainer):
        def compute_loss(self, *args, **kwargs):
            return 2.0 * super().compute_loss(*args, **kwargs)

    class Tuned(qgd.hf.Controlled, Doubled):
        pass

    decisions = []
    trainer = trainer_of(tmp_path, cls=Tuned, max_steps=2, logging_steps=1)
    trainer.create_optimizer()
    trainer.controller.on_decision(decisions.append)
    trainer.train()
    assert decisions[0]["loss"] == pytest.approx(4.2, abs=0.4)


def test_two_processes_take_the_same_decisions(tmp_path):
    code = """
import sys
sys.path.insert(0, TESTS)
from test_hf import trainer_of

trainer = trainer_of(FOLDER, max_steps=30, gradient_accumulation_steps=2, ddp_backend="gloo")
trainer.train()
assert type(trainer.model_wrapped).__name__ == "DistributedDataParallel"
opt = trainer.controller
gathered = [None, None]
torch.distributed.all_gather_object(gathered, (opt.lr, opt.counts, opt.last_decision()))
assert gathered[0] == gathered[1] and opt.steps == 30 and opt.counts["grow"] > 10, gathered
torch.distributed.destroy_process_group()
"""
    in_two_processes("import torch\nFOLDER = 'out'\n" + code, tmp_path)


def test_bad_use_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="is no controller"):
        trainer_of(tmp_path, extra={"controller": "nothing"}).train()
    with pytest.raises(TypeError, match="LBFGS"):
        model = gpt2()
        trainer_of(tmp_path, model, optimizers=(torch.optim.LBFGS(model.parameters()), None)).train()
    with pytest.raises(ValueError, match="did not return a loss"):
        trainer_of(tmp_path, data=[{"input_ids": one["input_ids"]} for one in texts()]).train()

    class Elsewhere(qgd.hf.Trainer):
        def create_optimizer(self, model=None):
            self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
            return self.optimizer

    with pytest.raises(RuntimeError, match="there is no QController"):
        trainer_of(tmp_path, cls=Elsewhere, optimizers=(None, None), max_steps=1).train()


def test_a_callback_ends_a_run_early_with_a_cooldown_and_the_average_is_left_in_the_net(tmp_path):
    class TimeIsUp(transformers.TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == 50:
                trainer.controller.cool_down(10)
            control.should_training_stop = state.global_step == trainer.controller.total_steps

    trainer = trainer_of(tmp_path, extra={"controller_options": {"average": 0.1}})
    trainer.add_callback(TimeIsUp())
    rates = []
    trainer.add_callback(Rates(rates, lambda: trainer.controller.lr))
    trainer.train()
    assert trainer.controller.steps == trainer.state.global_step == 60
    assert rates[-1] < 0.3 * rates[49]
    trained = values(trainer.model)
    with trainer.controller.averaged():
        average = values(trainer.model)
    trainer.controller.finish()
    assert same(values(trainer.model), average) and not same(average, trained)


class Rates(transformers.TrainerCallback):
    def __init__(self, rates, now):
        self._rates, self._now = rates, now

    def on_step_end(self, args, state, control, **kwargs):
        self._rates.append(self._now())
