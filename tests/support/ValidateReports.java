import com.pixelmed.validate.DicomSRValidator;

/** Validates structured reports one after another; each line of the output begins with its file's number, from 0. */
public class ValidateReports {
    public static void main(String[] files) throws Exception {
        var validator = new DicomSRValidator();
        validator.setOptionCheckContentItemOrder(true);
        validator.setOptionCheckTemplateID(true);
        for (int i = 0; i < files.length; i++) {
            for (var line : validator.validate(files[i]).split("\\R")) {
                System.out.println(i + "\t" + line);
            }
        }
    }
}
