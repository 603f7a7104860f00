import io.anserini.analysis.AnalyzerUtils;
import io.anserini.index.IndexCollection;
import io.anserini.search.SimpleSearcher;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** Answers the lines of its input: `terms` gives the search terms of each, `search INDEX K` the K best documents. */
public class Lucene {
  public static void main(String[] arguments) throws Exception {
    SimpleSearcher searcher = arguments[0].equals("search") ? new SimpleSearcher(arguments[1]) : null;
    BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    PrintStream output = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    for (String line = input.readLine(); line != null; line = input.readLine()) {
      List<String> answer = new ArrayList<>();
      if (searcher == null) {
        answer = AnalyzerUtils.analyze(IndexCollection.DEFAULT_ANALYZER, line);
      } else {
        for (SimpleSearcher.Result hit : searcher.search(line, Integer.parseInt(arguments[2]))) {
          answer.add(hit.docid);
        }
      }
      output.println(String.join("\t", answer));
    }
    output.flush();
  }
}
