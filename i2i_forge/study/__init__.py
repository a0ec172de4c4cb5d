"""Studies: an objective and its variants, trained, measured with common inputs and noise, and put into one table.

variants.py, study_file.py   what a study is, expanded to resolved recipes; a study as a file
costs.py, state.py           what a step computes; what is done in the study's folder
study.py, launchers.py       from plan to table; the commands of a run, and where they run
table.py, layout.py          the numbers side by side, and how they are shown
page/                        runs as one HTML file

Variants, study files and launchers do not import torch.
"""
