"""The anchor of a plain loop: what one writes in an afternoon, with torch.save to one file.

It trains a small network between two folders of images, or between random images, and resumes from its file.
"""

import argparse
import time
from pathlib import Path

import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader
from torchvision.transforms.functional import resize, to_tensor


class Images(torch.utils.data.Dataset):
    def __init__(self, folder):
        self.files = sorted(Path(folder).iterdir()) if folder else [None] * 7

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        if self.files[index] is None:
            return torch.rand(3, 64, 64)
        return resize(to_tensor(Image.open(self.files[index]).convert("RGB")), [64, 64])


def network():
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1))


class State:
    def __init__(self, run):
        self.file = Path(run) / "checkpoint.pt"
        torch.manual_seed(0)
        self.model = network()
        self.optimizer = torch.optim.Adam(self.model.parameters(), 2e-4)

    def resume(self):
        if not self.file.exists():
            return 0
        state = torch.load(self.file)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        return state["step"]

    def save(self, step):
        torch.save(
            {"step": step, "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}, self.file
        )

    def update(self, source, target):
        loss = (self.model(source) - target).abs().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    def parameters(self):
        return list(self.model.parameters())


def saved(run):
    """Step -> files, for the tests."""
    file = Path(run) / "checkpoint.pt"
    return {torch.load(file)["step"]: [file]} if file.exists() else {}


def main():
    parser = argparse.ArgumentParser()
    for name in ("run", "data"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--pause", type=float, default=0)  # seconds a step: as long as a real network needs
    for name in ("steps", "every", "workers", "batch"):
        parser.add_argument(f"--{name}", type=int, default=2)
    options = parser.parse_args()
    state = State(options.run)
    step = state.resume()
    state.file.parent.mkdir(parents=True, exist_ok=True)
    train(options, state, step)


def train(options, state, step):
    sources, targets = (
        DataLoader(Images(options.data and f"{options.data}/train{domain}"), options.batch, shuffle=True,
                   num_workers=options.workers, drop_last=True)
        for domain in "AB"
    )  # fmt: skip
    while step < options.steps:
        for source, target in zip(sources, targets, strict=False):
            loss = state.update(source, target)
            time.sleep(options.pause)
            step += 1
            print(step, loss)
            if step % options.every == 0 or step == options.steps:
                state.save(step)
            if step == options.steps:
                break


if __name__ == "__main__":
    main()
