"""Models of heterogeneity; each answers the VolumeSource protocol."""
