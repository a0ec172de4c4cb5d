"""Studies: an objective and its variants, trained, measured with common inputs and noise, and put into one table.

plans.py, variants.py          what a study is, expanded to resolved recipes: pure functions
study_file.py, study_schema.py  a study as a file
commands.py, preview.py        the commands that train and measure; what a study would do
measures.py, costs.py          what is measured and recorded already; what a step computes
state.py, study.py, running.py  the study's folder: what is done; what is left; from plan to table
launchers.py, slurm.py         where the commands run
seeds.py, table.py, layout.py  the numbers side by side, and how they are shown

Plans, variants, study files and commands do not import torch.
"""
