"""The anchor with the habits of published image-to-image trainers, as their users describe them.

Generator and discriminator go to numbered files, the optimizers to one file that is overwritten; resuming takes the
newest file by name; nothing is seeded; images are opened and converted as they come.
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
        endings = (".jpg", ".jpeg", ".png", ".ppm", ".bmp")
        files = Path(folder).rglob("*") if folder else []
        self.files = sorted(f for f in files if f.suffix.lower() in endings) if folder else [None] * 7

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        if self.files[index] is None:
            return torch.rand(3, 64, 64)
        return resize(to_tensor(Image.open(self.files[index]).convert("RGB")), [64, 64])


def generator():
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1))


def discriminator():
    return nn.Sequential(nn.Conv2d(3, 8, 4, 2), nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 4, 2))


def newest(folder, key):
    files = sorted(str(f) for f in folder.glob("*.pt") if key in f.name)
    return files[-1] if files else None


class State:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.gen, self.dis = generator(), discriminator()
        self.gen_opt = torch.optim.Adam(self.gen.parameters(), 1e-4, (0.5, 0.999))
        self.dis_opt = torch.optim.Adam(self.dis.parameters(), 1e-4, (0.5, 0.999))

    def resume(self):
        name = newest(self.folder, "gen")
        if name is None:
            return 0
        self.gen.load_state_dict(torch.load(name)["a"])
        self.dis.load_state_dict(torch.load(newest(self.folder, "dis"))["a"])
        state = torch.load(self.folder / "optimizer.pt")
        self.gen_opt.load_state_dict(state["gen"])
        self.dis_opt.load_state_dict(state["dis"])
        return int(name[-11:-3])

    def save(self, step):
        torch.save({"a": self.gen.state_dict()}, self.folder / f"gen_{step:08d}.pt")
        torch.save({"a": self.dis.state_dict()}, self.folder / f"dis_{step:08d}.pt")
        state = {"gen": self.gen_opt.state_dict(), "dis": self.dis_opt.state_dict()}
        torch.save(state, self.folder / "optimizer.pt")

    def update(self, source, target):
        fake = self.gen(source)
        loss_dis = (self.dis(target) - 1).square().mean() + self.dis(fake.detach()).square().mean()
        self.dis_opt.zero_grad()
        loss_dis.backward()
        self.dis_opt.step()
        loss_gen = (self.dis(fake) - 1).square().mean() + 10 * (fake - target).abs().mean()
        self.gen_opt.zero_grad()
        loss_gen.backward()
        self.gen_opt.step()
        return float(loss_gen.detach())

    def parameters(self):
        return [*self.gen.parameters(), *self.dis.parameters()]


def saved(run):
    """Step -> files, for the tests."""
    folder = Path(run)
    return {
        int(file.name[-11:-3]): [file, file.with_name(file.name.replace("gen", "dis")), folder / "optimizer.pt"]
        for file in sorted(folder.glob("gen_*.pt"))
    }


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
    state.folder.mkdir(parents=True, exist_ok=True)
    train(options, state, step)


def train(options, state, step):
    sources, targets = (
        DataLoader(Images(options.data and f"{options.data}/train{domain}"), options.batch, shuffle=True,
                   num_workers=options.workers, drop_last=True)
        for domain in "AB"
    )  # fmt: skip
    while True:
        for source, target in zip(sources, targets, strict=False):
            print(step, state.update(source, target))
            time.sleep(options.pause)
            step += 1
            if step % options.every == 0:
                state.save(step)
            if step >= options.steps:
                return


if __name__ == "__main__":
    main()
