"""The page that lies beside an export and says which commands to type."""

from __future__ import annotations

from fcdsynth.detector.peers.cases import FILE, Cases

_TEXT = """\
# {dataset}

Written by `fcdsynth export nnunet` for nnU-Net v2. {learning} subjects to learn from \
({patients} patients), {test} test subjects, channels {channels}.

- `nnUNet_raw/{dataset}/imagesTr`, `labelsTr`: training and validation subjects; 1 is lesion, \
controls are all 0.
- `nnUNet_raw/{dataset}/imagesTs`: test subjects. Their masks are not exported: `fcdsynth \
evaluate` reads them.
- `splits_final.json` (in the raw and in the preprocessed folder): {folds}. nnU-Net keeps it; \
do not delete it, its own random folds know nothing of scanners, families and parents.
- `{file}`: subject id by case id, and who trains which fold.

nnU-Net plans on all of `imagesTr`, the validation subjects among them, as it always does.

## Commands

In this folder, with nnU-Net installed (`pip install nnunetv2`):

```
export nnUNet_raw="$PWD/nnUNet_raw"
export nnUNet_preprocessed="$PWD/nnUNet_preprocessed"
export nnUNet_results="$PWD/nnUNet_results"
nnUNetv2_plan_and_preprocess -d {number} -c 3d_fullres --verify_dataset_integrity
{training}
nnUNetv2_predict -i nnUNet_raw/{dataset}/imagesTs -o predictions -d {number} -c 3d_fullres \
-f {numbers} --save_probabilities
```

For the residual encoder add `-pl nnUNetPlannerResEncM` to the first command and \
`-p nnUNetResEncUNetMPlans` to the others.

Then, COHORT being the cohort that was exported:

```
fcdsynth import nnunet predictions COHORT DETECTIONS --raw .
fcdsynth evaluate DETECTIONS COHORT REPORT
```

`--npz` leaves probabilities of the validation subjects in \
`nnUNet_results/*/*/fold_*/validation`; import them fold by fold with `--split val --fold 0`.
"""


def write_readme(cases: Cases, number: int, inputs: tuple[str, ...], patients: int) -> str:
    """The page of an export.

    Args:
        cases: Its cases.
        number: nnU-Net's number of the data set.
        inputs: Channels, in order.
        patients: Patients among the subjects to learn from.
    """
    numbers = range(len(cases.folds))
    return _TEXT.format(
        dataset=cases.dataset,
        number=number,
        learning=len(cases.subjects) - len(cases.test),
        patients=patients,
        test=len(cases.test),
        channels=", ".join(f"_{n:04d} {key}" for n, key in enumerate(inputs)),
        folds="one fold" if len(numbers) == 1 else f"{len(numbers)} folds",
        file=FILE,
        training="\n".join(f"nnUNetv2_train {number} 3d_fullres {n} --npz" for n in numbers),
        numbers=" ".join(map(str, numbers)),
    )
