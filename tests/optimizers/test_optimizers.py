"""The optimizers against plain NumPy loops and PyTorch's parameter groups."""

import keras
import numpy as np
import pytest

from kseg.training import SGD, AdamW, Poly

STEPS = 5


def small_model():
    image = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(4, 3, name="body")(image)
    x = keras.layers.BatchNormalization(name="norm")(x)
    return keras.Model(image, keras.layers.Conv2D(2, 1, name="score")(x))


def gradients(model):
    random = np.random.default_rng(1)
    return [
        [random.normal(size=v.shape).astype("float32") for v in model.trainable_variables]
        for _ in range(STEPS)
    ]


def factor(variable):
    """score x10, biases x2."""
    return (10 if variable.path.startswith("score") else 1) * (2 if variable.name == "bias" else 1)


def test_sgd_is_caffes_rule():
    model = small_model()
    values = [v.numpy().astype("float64") for v in model.trainable_variables]
    velocities = [np.zeros_like(v) for v in values]
    optimizer = SGD(0.01, 0.9, l2=0.05, layer_multipliers={"score": 10}, bias_multiplier=2)
    for step in gradients(model):
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in step], model.trainable_variables)
        for i, (variable, gradient) in enumerate(zip(model.trainable_variables, step, strict=True)):
            decay = 0.05 * values[i] if variable.name == "kernel" else 0
            velocities[i] = 0.9 * velocities[i] - 0.01 * factor(variable) * (gradient + decay)
            values[i] = values[i] + velocities[i]
    for variable, expected in zip(model.trainable_variables, values, strict=True):
        np.testing.assert_allclose(variable, expected, rtol=1e-4, atol=1e-6, err_msg=variable.path)
    np.testing.assert_allclose(optimizer.learning_rate, 0.01)


@pytest.mark.parity
@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_equals_pytorch_with_parameter_groups(kind):
    torch = pytest.importorskip("torch")
    model = small_model()
    theirs = [torch.tensor(v.numpy(), requires_grad=True) for v in model.trainable_variables]
    groups = [
        {"params": [t], "lr": 0.01 * factor(v), "weight_decay": 0.05 if v.name == "kernel" else 0.0}
        for t, v in zip(theirs, model.trainable_variables, strict=True)
    ]
    arguments = {"layer_multipliers": {"score": 10}, "bias_multiplier": 2}
    if kind == "sgd":  # at a constant rate, velocity times rate or rate in the velocity come to the same
        optimizer, reference = (
            SGD(0.01, 0.9, l2=0.05, **arguments),
            torch.optim.SGD(groups, lr=1.0, momentum=0.9),
        )
    else:
        optimizer = AdamW(0.01, weight_decay=0.05, epsilon=1e-8, **arguments)
        reference = torch.optim.AdamW(groups, lr=1.0, eps=1e-8)
    for step in gradients(model):
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in step], model.trainable_variables)
        for tensor, gradient in zip(theirs, step, strict=True):
            tensor.grad = torch.tensor(gradient)
        reference.step()
    for variable, tensor in zip(model.trainable_variables, theirs, strict=True):
        np.testing.assert_allclose(variable, tensor.detach(), rtol=2e-4, atol=2e-6, err_msg=variable.path)


def test_adamw_decays_kernels_only_with_their_own_rate():
    model = small_model()
    model.get_layer("norm").gamma.assign([3.0] * 4)
    before = [v.numpy() for v in model.trainable_variables]
    optimizer = AdamW(0.1, weight_decay=0.5, layer_multipliers={"score": 4})
    zero = [keras.ops.zeros(v.shape) for v in model.trainable_variables]
    optimizer.apply(zero, model.trainable_variables)
    for variable, start in zip(model.trainable_variables, before, strict=True):
        rate = 0.4 if variable.path.startswith("score") else 0.1
        expected = start * (1 - rate * 0.5) if variable.name == "kernel" else start
        np.testing.assert_allclose(variable, expected, rtol=1e-6, err_msg=variable.path)


@pytest.mark.parametrize("kind", [SGD, AdamW])
def test_unknown_layer_is_refused(kind):
    model = small_model()
    with pytest.raises(ValueError, match="scores"):
        kind(layer_multipliers={"scores": 2}).build(model.trainable_variables)


@pytest.mark.full
@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(Poly(0.1, 50), 0.8, True, 0.01, {"score": 10}, 2),
        AdamW(Poly(0.1, 50), 0.03, {"score": 10}, 2, beta_2=0.98),
    ],
)
def test_state_survives_saving(optimizer, tmp_path):
    optimizer = type(optimizer).from_config(optimizer.get_config())
    model = small_model()
    model.compile(optimizer, "mse")
    images, targets = np.ones((2, 6, 6, 3), "float32"), np.ones((2, 4, 4, 2), "float32")
    model.train_on_batch(images, targets)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again.optimizer) is type(optimizer)
    assert again.optimizer.get_config() == optimizer.get_config()
    for one, other in ((model, again), (model, again)):
        one.train_on_batch(images, targets)
        other.train_on_batch(images, targets)
    for ours, theirs in zip(again.variables, model.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("ours", "keras_own", "settings"),
    [
        (AdamW, keras.optimizers.AdamW, {"weight_decay": 0.0, "beta_1": 0.8, "epsilon": 1e-3}),
        (AdamW, keras.optimizers.AdamW, {"weight_decay": 0.0, "amsgrad": True}),
        (
            AdamW,
            keras.optimizers.AdamW,
            {"weight_decay": 0.0, "global_clipnorm": 0.5, "gradient_accumulation_steps": 2},
        ),
        (SGD, keras.optimizers.SGD, {"momentum": 0.8}),
        (SGD, keras.optimizers.SGD, {"momentum": 0.8, "nesterov": True}),
        (SGD, keras.optimizers.SGD, {"momentum": 0.0}),
    ],
)
def test_one_operation_takes_the_steps_of_kerass_composed_ones(ours, keras_own, settings):
    models, values = [], []
    for kind in (ours, keras_own):
        keras.utils.set_random_seed(0)
        models.append(small_model())
        optimizer = kind(0.05, **settings)
        for step in gradients(models[-1]):
            optimizer.apply([keras.ops.convert_to_tensor(g) for g in step], models[-1].trainable_variables)
        values.append([np.asarray(v) for v in (*models[-1].trainable_variables, *optimizer.variables)])
    for one, other in zip(*values, strict=True):
        # float32 knows 1 - beta_2 to 5e-5, and each of the five steps is 0.05 long
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=5e-6)


@pytest.mark.parametrize("kind", [SGD, AdamW])
def test_a_gradient_of_another_type_and_an_update_by_itself(kind):
    """As `keras.optimizers` takes them in somebody's own loop."""
    found = []
    for dtype in ("float32", "float16"):
        weight = keras.Variable(np.ones((2, 2), "float32"))
        kind(0.1).apply([keras.ops.ones((2, 2), dtype)], [weight])
        found.append(np.asarray(weight))
    np.testing.assert_allclose(*found, rtol=1e-6)
    weight, optimizer = keras.Variable(np.ones((2, 2), "float32")), kind(0.1)
    optimizer.build([weight])
    optimizer.update_step(keras.ops.ones((2, 2)), weight, 0.1)
    np.testing.assert_allclose(weight, found[0], rtol=1e-6)


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("ours", "keras_own"),
    [
        (AdamW(0.1, weight_decay=0.0), keras.optimizers.AdamW(0.1, weight_decay=0.0)),
        (SGD(0.1), keras.optimizers.SGD(0.1, momentum=0.9)),
    ],
)
def test_sparse_gradients_and_half_precision_weights_take_kerass_steps(ours, keras_own):
    """An embedding's gradient has only the rows that were looked up."""
    words, truth = np.array([[0, 3], [3, 1]]), np.ones((2, 2), "float32")
    found = []
    for optimizer in (ours, keras_own):
        keras.utils.set_random_seed(0)
        layers = [
            keras.layers.Embedding(5, 3),
            keras.layers.Flatten(),
            keras.layers.Dense(2, dtype="bfloat16"),
        ]
        model = keras.Sequential(layers)
        model.compile(optimizer, "mse")
        for _ in range(3):
            model.train_on_batch(words, truth)
        found.append([np.asarray(keras.ops.cast(v, "float32")) for v in model.trainable_variables])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
