"""From recordings and EEG/MEG files to windows for training: caches, indices, manifests, datasets."""
