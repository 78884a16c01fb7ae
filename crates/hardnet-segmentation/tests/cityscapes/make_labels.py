"""Writes labels.tsv: name, train id and color of the label ids 0 to 33 of cityscapesScripts 2.2.4.

    pip install cityscapesScripts==2.2.4 && python3 make_labels.py > labels.tsv
"""

from cityscapesscripts.helpers.labels import labels

for label in sorted((label for label in labels if label.id >= 0), key=lambda label: label.id):
    print(label.name, label.trainId, ",".join(map(str, label.color)), sep="\t")
