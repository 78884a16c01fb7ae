//! Images as ImageNet evaluations need them: lists and folders of samples, decoding, and Pillow's exact preprocessing.
