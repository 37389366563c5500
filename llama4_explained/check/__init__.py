"""Every piece compared with Hugging Face's on the same weights. All over this project the word *check* means just that.

`pieces` is the registry, `compare` judges errors by the floor of rounding, `mutants` proves that the checks would see a
mistake, `differences` finds the first place where two runs part, `twins` builds the models, `run` is the command.
"""
