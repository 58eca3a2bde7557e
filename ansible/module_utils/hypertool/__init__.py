# Code shared by this project's modules; loaded as ansible.module_utils.hypertool.
